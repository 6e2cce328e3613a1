/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pulls in the objects that the configuration requires. No driver calls any of them. */
#include <config/general.h>

PROVIDE_REQUIRING_SYMBOL();

REQUIRE_OBJECT ( config_ethernet );
REQUIRE_OBJECT ( config_pci );
REQUIRE_OBJECT ( embedded );
REQUIRE_OBJECT ( certstore );
#ifndef SECUREBOOT
REQUIRE_OBJECT ( shell );
#endif
#ifdef DOWNLOAD_PROTO_HTTP
REQUIRE_OBJECT ( http );
#endif
#ifdef DOWNLOAD_PROTO_TFTP
REQUIRE_OBJECT ( tftp );
#endif
#ifdef NET_PROTO_DHCP
REQUIRE_OBJECT ( dhcp );
#endif
#ifdef NET_PROTO_DNS
REQUIRE_OBJECT ( dns );
#endif
#ifdef DIGEST_CMD
REQUIRE_OBJECT ( digest_cmd );
#endif
#ifdef CRC_CMD
REQUIRE_OBJECT ( crc_cmd );
#endif
#ifdef IMAGE_EFI
REQUIRE_OBJECT ( efi_image );
#endif
#ifdef IMAGE_PXE
REQUIRE_OBJECT ( pxe_image );
#endif
