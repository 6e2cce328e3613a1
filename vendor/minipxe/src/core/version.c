/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Compiled anew for each goal: what this link is called. */
#include <minipxe.h>

const char product_version[] = VERSION;
const char build_name[] = BUILD_NAME;
const char build_drivers[] = TGT_DRIVERS;
