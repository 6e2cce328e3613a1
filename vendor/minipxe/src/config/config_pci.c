/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pulls in the objects that only PCI cards need. */
#include <config/general.h>

PROVIDE_REQUIRING_SYMBOL();

#ifdef PCI_CMD
REQUIRE_OBJECT ( pci_cmd );
#endif
#ifdef PCI_SETTINGS
REQUIRE_OBJECT ( pci_settings );
#endif
