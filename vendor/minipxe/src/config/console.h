/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CONFIG_CONSOLE_H
#define CONFIG_CONSOLE_H

#include <config/named.h>

#define CONSOLE_FIRMWARE		/* INT 10h, or EFI's ConOut */
#define CONSOLE_SERIAL			/* the first serial port, by hand */
#define CONSOLE_DEBUGCON		/* QEMU's and Bochs' port 0x402 */
#define COMCONSOLE 0x3f8
#define DEBUGCON_PORT 0x402

#ifdef CONFIG
#if __has_include( NAMED ( config/CONFIG/console.h ) )
#include NAMED ( config/CONFIG/console.h )
#endif
#endif
#include <config/local/console.h>
#ifdef LOCAL_CONFIG
#include NAMED ( config/local/LOCAL_CONFIG/console.h )
#endif

#endif
