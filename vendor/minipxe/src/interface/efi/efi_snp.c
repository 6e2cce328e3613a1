/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The network interface by which the firmware and its programs use a card. No driver calls this, and a link without it
 * succeeds: it is found by its entry in the table net_drivers, and only the configuration requires it.
 */
#include <efi.h>
#include <netdevice.h>
#include <config/general.h>

#ifdef EFI_DOWNGRADE_UX
/* No firmware looks for this GUID. */
static const struct efi_guid dummy_load_file_guid = { 0x27a5ab96, 0x0323, 0x48af, { 0x82, 0xa7, 0x3f, 0xcb, 0xe0, 0xed, 0x2f, 0x98 } };
#define efi_load_file_guid dummy_load_file_guid
#endif

enum { INTERFACES = 4 };

struct efi_snp_device {
	struct efi_simple_network snp;
	struct efi_simple_network_mode mode;
	struct efi_network_identifier nii;
	struct efi_load_file load_file;
	struct net_device *netdev;
	struct efi_path *path;
	efi_handle handle;
	struct {
		const struct efi_guid *guid;
		void *interface;
	} interfaces[INTERFACES];
	int installed;
};

static struct efi_snp_device *last;

struct efi_snp_device *last_opened_snpdev ( void ) {
	return last;
}

/* This miniature transfers no frames. */
static efi_status EFIAPI refuse ( struct efi_simple_network *this ) {
	return EFI_UNSUPPORTED;
}

static efi_status EFIAPI not_started ( struct efi_simple_network *this ) {
	return EFI_NOT_STARTED;
}

/* Maps an IPv4 multicast address to an Ethernet one. */
static efi_status EFIAPI multicast ( struct efi_simple_network *this, uint8_t ipv6, const void *ip, struct efi_mac *mac ) {
	static const uint8_t prefix[3] = { 0x01, 0x00, 0x5e };
	struct in_addr address;
	const char *text;

	if ( ! ip || ! mac || ipv6 )
		return EFI_INVALID_PARAMETER;
	memcpy ( address.bytes, ip, 4 );
	text = inet_ntoa ( address );
	( void ) text;
	DBG ( "efi_snp: multicasts of %s\n", text );
	memcpy ( mac->bytes, prefix, 3 );
	memcpy ( mac->bytes + 3, address.bytes + 1, 3 );
	mac->bytes[3] &= 0x7f;
	return 0;
}

/* The firmware wants to boot from this card. */
static efi_status EFIAPI load ( struct efi_load_file *this, void *path, uint8_t boot, size_t *size, void *buffer ) {
	struct efi_snp_device *snpdev = ( struct efi_snp_device * ) ( ( uint8_t * ) this - __builtin_offsetof ( struct efi_snp_device, load_file ) );

	if ( ! boot )
		return EFI_UNSUPPORTED;
	return ipxe ( snpdev->netdev ) ? EFI_ABORTED : 0;
}

/* The device path of the card, followed by its MAC address. */
static struct efi_path *child_path ( const struct efi_path *parent, const uint8_t *mac ) {
	const struct efi_path *node = parent;
	uint8_t *path;
	size_t len;

	while ( node->type != 0x7f )
		node = ( const struct efi_path * ) ( ( const uint8_t * ) node + ( node->length[0] | node->length[1] << 8 ) );
	len = ( const uint8_t * ) node - ( const uint8_t * ) parent;
	path = malloc ( len + 37 + 4 );
	if ( ! path )
		return NULL;
	memcpy ( path, parent, len );
	path[len] = 3;
	path[len + 1] = 11;
	path[len + 2] = 37;
	memcpy ( path + len + 4, mac, 6 );
	path[len + 36] = 1;
	path[len + 37] = 0x7f;
	path[len + 38] = 0xff;
	path[len + 39] = 4;
	return ( struct efi_path * ) path;
}

static void remove ( struct efi_snp_device *snpdev ) {
	struct efi_boot_services *boot = efi_system->boot;

	if ( ! snpdev )
		return;
	snpdev->netdev->snpdev = NULL;
	if ( last == snpdev )
		last = NULL;
	if ( snpdev->installed == INTERFACES ) {
		efi_snp_hii_uninstall ( snpdev );
		boot->close_protocol ( snpdev->netdev->parent, &efi_pci_guid, efi_image_handle, snpdev->handle );
		boot->close_protocol ( snpdev->handle, &efi_nii31_guid, efi_image_handle, snpdev->handle );
	}
	while ( snpdev->installed-- )
		boot->uninstall ( snpdev->handle, snpdev->interfaces[snpdev->installed].guid, snpdev->interfaces[snpdev->installed].interface );
	free ( snpdev->path );
	free ( snpdev );
}

static void efi_snp_remove ( struct net_device *netdev ) {
	remove ( netdev->snpdev );
}

static void fill ( struct efi_snp_device *snpdev, const struct net_device *netdev ) {
	struct efi_simple_network *snp = &snpdev->snp;
	struct efi_simple_network_mode *mode = &snpdev->mode;

	snp->revision = 0x10000;
	snp->start = snp->stop = refuse;
	snp->initialize = snp->reset = snp->shutdown = snp->filter = snp->address = snp->statistics = not_started;
	snp->nvram = snp->status = snp->transmit = snp->receive = not_started;
	snp->multicast = multicast;
	snp->mode = mode;
	mode->mac_size = netdev->link->addr_len;
	mode->header_size = netdev->link->header_len;
	mode->packet_size = 1500;
	mode->filter_mask = 0x1f;
	mode->type = netdev->link->type;
	memcpy ( mode->current.bytes, netdev->mac, 6 );
	memcpy ( mode->permanent.bytes, netdev->mac, 6 );
	memset ( mode->broadcast.bytes, 0xff, 6 );
	snpdev->nii.revision = 0x10001;
	snpdev->nii.type = 1;
	snpdev->nii.major = 3;
	snpdev->nii.minor = 1;
	memcpy ( snpdev->nii.string, "UNDI", 4 );
	snpdev->load_file.load = load;
}

static int efi_snp_probe ( struct net_device *netdev ) {
	struct efi_boot_services *boot = efi_system->boot;
	struct efi_snp_device *snpdev;
	struct efi_path *parent;
	void *interface;

	if ( boot->handle_protocol ( netdev->parent, &efi_device_path_guid, ( void ** ) &parent ) )
		return 1;
	snpdev = malloc ( sizeof ( *snpdev ) );
	if ( ! snpdev )
		return 1;
	netdev->snpdev = snpdev;
	snpdev->netdev = netdev;
	snpdev->path = child_path ( parent, netdev->mac );
	fill ( snpdev, netdev );
	snpdev->interfaces[0].guid = &efi_device_path_guid;
	snpdev->interfaces[0].interface = snpdev->path;
	snpdev->interfaces[1].guid = &efi_nii31_guid;
	snpdev->interfaces[1].interface = &snpdev->nii;
	snpdev->interfaces[2].guid = &efi_simple_network_guid;
	snpdev->interfaces[2].interface = &snpdev->snp;
	snpdev->interfaces[3].guid = &efi_load_file_guid;
	snpdev->interfaces[3].interface = &snpdev->load_file;
	while ( snpdev->path && snpdev->installed < INTERFACES ) {
		if ( boot->install ( &snpdev->handle, snpdev->interfaces[snpdev->installed].guid, 0,
				     snpdev->interfaces[snpdev->installed].interface ) )
			break;
		snpdev->installed++;
	}
	if ( snpdev->installed < INTERFACES ) {
		remove ( snpdev );
		return 1;
	}
	/* The firmware must not create another network interface on NII, and must know the parent of this one. */
	boot->open_protocol ( snpdev->handle, &efi_nii31_guid, &interface, efi_image_handle, snpdev->handle, OPEN_BY_DRIVER );
	boot->open_protocol ( netdev->parent, &efi_pci_guid, &interface, efi_image_handle, snpdev->handle, OPEN_BY_CHILD );
	if ( efi_snp_hii_install ( snpdev, netdev ) )
		DBG ( "efi_snp: no forms\n" );
	last = snpdev;
	return 0;
}

static const struct net_driver efi_snp_driver = { "SNP", efi_snp_probe, efi_snp_remove };
TABLE_ENTRY ( net_drivers, struct net_driver, efi_snp_driver );
