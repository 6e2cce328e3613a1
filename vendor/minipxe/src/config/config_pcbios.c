/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Drags in what the configuration asks for on this platform alone. */
PROVIDE_REQUIRING_SYMBOL();

REQUIRE_OBJECT ( reboot_cmd );
