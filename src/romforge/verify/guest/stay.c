/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The negative control of exit.c: it does not call ExitBootServices, so the card must be seen to write. */
#define EXIT 0
#include "exit.c"
