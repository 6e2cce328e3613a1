/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The settings of a card, by name. */
#include <netdevice.h>

int fetch_setting ( struct net_device *netdev, const char *name, char *out, size_t size ) {
	const struct setting *const *setting;

	FOR_TABLE ( setting, settings ) {
		if ( strcmp ( ( *setting )->name, name ) == 0 )
			return ( *setting )->fetch ( netdev, out, size );
	}
	return -1;
}

static int fetch_mac ( struct net_device *netdev, char *out, size_t size ) {
	const uint8_t *mac = netdev->mac;

	return snprintf ( out, size, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5] );
}

static int fetch_version ( struct net_device *netdev, char *out, size_t size ) {
	return snprintf ( out, size, "%s", product_version );
}

/* The file to boot. There is no server, so the URI is a constant; it is parsed to validate it. */
static int fetch_filename ( struct net_device *netdev, char *out, size_t size ) {
	char text[] = "tftp://192.0.2.1/undionly.kpxe";
	struct uri uri;

	if ( parse_uri ( &uri, text ) )
		return -1;
	return snprintf ( out, size, "%s from %s by %s", uri.path, uri.host, uri.scheme );
}

static const struct setting mac_setting = { "mac", "the card's address", fetch_mac };
static const struct setting version_setting = { "version", "of this program", fetch_version };
static const struct setting filename_setting = { "filename", "what is booted", fetch_filename };
TABLE_ENTRY ( settings, struct setting, mac_setting );
TABLE_ENTRY ( settings, struct setting, version_setting );
TABLE_ENTRY ( settings, struct setting, filename_setting );
