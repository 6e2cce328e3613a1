/* SPDX-License-Identifier: GPL-2.0-or-later */
/* CONFIG=NAME on make's command line adds config/NAME/ and config/local/NAME/. The makefile touches this file. */
#ifndef CONFIG_NAMED_H
#define CONFIG_NAMED_H

#define NAMED_( path ) #path
#define NAMED( path ) NAMED_ ( path )

#endif
