/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CONFIG_GENERAL_H
#define CONFIG_GENERAL_H

#include <config/defaults.h>
#include <config/named.h>

#define BANNER "minipxe, a miniature of a network boot ROM"
#define BANNER_TIMEOUT 0		/* how long the banner is shown, in tenths of a second */
#define EXIT_PORT 0xf4			/* QEMU's isa-debug-exit; undefine it on machines with another device at this port */
#define EXIT_VALUE 0x10			/* QEMU exits with twice this value plus 1 */

#define DOWNLOAD_PROTO_HTTP
#define DOWNLOAD_PROTO_TFTP
#define NET_PROTO_DHCP
#define NET_PROTO_DNS
#define NET_PROTO_LLDP
#define NET_PROTO_STP
#define NET_PROTO_LACP
#define NET_PROTO_EAPOL
#define SANBOOT_PROTO_AOE
#define PCI_SETTINGS
#define PCI_CMD
#define DIGEST_CMD
#define CRC_CMD
/* Offer LoadFile under a GUID that no firmware looks for, so that the firmware's own network boot is used: */
//#define EFI_DOWNGRADE_UX

#include NAMED_CONFIG ( general.h )
#include <config/local/general.h>
#include LOCAL_NAMED_CONFIG ( general.h )

#endif
