/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stubs for objects that are left out of a driver. link_roots.py copies the blocks that it needs,
 * and they are compiled with the tree's own flags. All symbols are weak: if an object is linked
 * after all, its own definition takes precedence. A function fails or does nothing. A variable has
 * storage, since code writes to it.
 *
 * A block begins with a comment "object NAME" on a line of its own, and ends before the next one.
 */
#define WEAK __attribute__ (( weak ))
#define UNUSED __attribute__ (( unused ))
/* An iPXE error number: bits 24 to 30 are the EFI status, here EFI_UNSUPPORTED. */
#define UNSUPPORTED ( -0x03000000 )
struct net_device;
struct settings;
struct setting;
struct uri;
struct efi_snp_device;
struct romforge_in_addr { unsigned int s_addr; };
union uuid;

/* object autoboot */
int WEAK ipxe ( struct net_device *netdev UNUSED ) {
	return UNSUPPORTED;
}

/* object efi_cmdline */
void * WEAK efi_cmdline;
__SIZE_TYPE__ WEAK efi_cmdline_len;

/* object ipv4 */
char * WEAK inet_ntoa ( struct romforge_in_addr address UNUSED ) {
	static char nothing[1];
	return nothing;
}

/* object efi_snp_hii */
int WEAK efi_snp_hii_install ( struct efi_snp_device *snpdev UNUSED ) {
	return UNSUPPORTED;
}
int WEAK efi_snp_hii_uninstall ( struct efi_snp_device *snpdev UNUSED ) {
	return 0;
}

/* object settings */
int WEAK register_settings ( struct settings *settings UNUSED, struct settings *parent UNUSED,
			     const char *name UNUSED ) {
	return 0;
}
void WEAK unregister_settings ( struct settings *settings UNUSED ) {
}
void WEAK clear_settings ( struct settings *settings UNUSED ) {
}
struct settings * WEAK find_child_settings ( struct settings *parent UNUSED,
					     const char *name UNUSED ) {
	return 0;
}
int WEAK setting_cmp ( const struct setting *a, const struct setting *b ) {
	return a != b;
}
void * WEAK setting_type_ipv6[8];

/* object netdev_settings */
void * WEAK netdev_settings_operations[8];

/* object uri */
__SIZE_TYPE__ WEAK format_uri ( const struct uri *uri UNUSED, char *text UNUSED,
				__SIZE_TYPE__ length UNUSED ) {
	return 0;
}
struct uri * WEAK parse_uri ( const char *text UNUSED ) {
	return 0;
}

/* object uuid */
const char * WEAK uuid_ntoa ( const union uuid *uuid UNUSED ) {
	return "";
}

/* object vlan */
struct net_device * WEAK vlan_find ( struct net_device *trunk UNUSED, unsigned int tag UNUSED ) {
	return 0;
}
unsigned int WEAK vlan_tci ( struct net_device *netdev UNUSED ) {
	return 0;
}
unsigned int WEAK vlan_tag ( struct net_device *netdev UNUSED ) {
	return 0;
}
int WEAK vlan_create ( struct net_device *trunk UNUSED, unsigned int tag UNUSED,
		       unsigned int priority UNUSED ) {
	return UNSUPPORTED;
}
int WEAK vlan_destroy ( struct net_device *netdev UNUSED ) {
	return UNSUPPORTED;
}
