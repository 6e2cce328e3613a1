/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CONFIG_CONSOLE_H
#define CONFIG_CONSOLE_H

#include <config/named.h>

#define CONSOLE_FIRMWARE		/* INT 10h, or EFI's ConOut */
#define CONSOLE_SERIAL			/* the first serial port, accessed directly */
#define CONSOLE_DEBUGCON		/* QEMU's and Bochs' port 0x402 */
#define COMCONSOLE 0x3f8
#define DEBUGCON_PORT 0x402

#include NAMED_CONFIG ( console.h )
#include <config/local/console.h>
#include LOCAL_NAMED_CONFIG ( console.h )

#endif
