/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Drags in what there is for PCI cards alone. */
#include <config/general.h>

PROVIDE_REQUIRING_SYMBOL();

#ifdef PCI_CMD
REQUIRE_OBJECT ( pci_cmd );
#endif
#ifdef PCI_SETTINGS
REQUIRE_OBJECT ( pci_settings );
#endif
