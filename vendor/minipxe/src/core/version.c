/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The name and version of an image; compiled for each goal. */
#include <minipxe.h>

const char product_version[] = VERSION;
const char build_name[] = BUILD_NAME;
const char build_drivers[] = TGT_DRIVERS;
