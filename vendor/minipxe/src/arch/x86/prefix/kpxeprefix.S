/* SPDX-License-Identifier: GPL-2.0-or-later */
#define MEDIUM kpxe
#include "pxeprefix.S"
