/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Drags in what the configuration asks for on this platform alone. */
REQUIRE_OBJECT ( reboot_cmd );
