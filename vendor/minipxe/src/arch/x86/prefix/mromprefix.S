/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Start of an .mrom. A library may not define a symbol twice, so the makefile gives the linker the names that the rest
 * of the image knows.
 */
#define MROM
#define flat_read mrom_flat_read
#define payload_crc mrom_payload_crc
#include "romprefix.S"
