/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pulls in the objects that the configuration requires on this platform only. */
PROVIDE_REQUIRING_SYMBOL();

REQUIRE_OBJECT ( efi_vars_cmd );
