/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Start of an .mrom. */
#define MROM
#define PAYLOAD_APART
#define flat_read mrom_flat_read
#define payload_crc mrom_payload_crc
#include "romprefix.S"
