/* SPDX-License-Identifier: GPL-2.0-or-later */
#define IMAGE_EFI		/* EFI executables can be run */
