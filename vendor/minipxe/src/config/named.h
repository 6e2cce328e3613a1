/* SPDX-License-Identifier: GPL-2.0-or-later */
/* CONFIG=NAME on make's command line adds config/NAME/ and config/local/NAME/. The makefile touches this file. */
#ifndef CONFIG_NAMED_H
#define CONFIG_NAMED_H

#define NAMED_( path ) #path
#define NAMED( path ) NAMED_ ( path )

/* A header of config/NAME/, which must have every header that is included by this macro. */
#ifdef CONFIG
#define NAMED_CONFIG( header ) NAMED ( config/CONFIG/header )
#else
#define NAMED_CONFIG( header ) NAMED ( config/header )
#endif

/* A header of config/local/NAME/ */
#ifdef LOCAL_CONFIG
#define LOCAL_NAMED_CONFIG( header ) NAMED ( config/local/LOCAL_CONFIG/header )
#else
#define LOCAL_NAMED_CONFIG( header ) NAMED ( config/header )
#endif

#endif
