/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The options that a platform has in any configuration. */
#ifndef CONFIG_DEFAULTS_H
#define CONFIG_DEFAULTS_H

#include <config/named.h>

#include NAMED ( config/defaults/PLATFORM.h )

#endif
