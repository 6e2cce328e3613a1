/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CONFIG_GENERAL_H
#define CONFIG_GENERAL_H

#include <config/named.h>

#define BANNER "minipxe, a miniature of a network boot ROM"
#define BANNER_TIMEOUT 0		/* tenths of a second that the banner stays */
#define EXIT_PORT 0xf4			/* QEMU's isa-debug-exit; undefine on machines that have something else there */
#define EXIT_VALUE 0x10			/* QEMU's status is twice this plus 1 */

#define DOWNLOAD_PROTO_HTTP
#define DOWNLOAD_PROTO_TFTP
#define NET_PROTO_DHCP
#define NET_PROTO_DNS
#define DIGEST_CMD
#define CRC_CMD

#ifdef CONFIG
#if __has_include( NAMED ( config/CONFIG/general.h ) )
#include NAMED ( config/CONFIG/general.h )
#endif
#endif
#include <config/local/general.h>
#ifdef LOCAL_CONFIG
#include NAMED ( config/local/LOCAL_CONFIG/general.h )
#endif

#endif
