/* SPDX-License-Identifier: GPL-2.0-or-later */
#define MEDIUM kkpxe
#include "pxeprefix.S"
