/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a platform has whatever the configuration says. */
#ifndef CONFIG_DEFAULTS_H
#define CONFIG_DEFAULTS_H

#include <config/named.h>

#include NAMED ( config/defaults/PLATFORM.h )

#endif
