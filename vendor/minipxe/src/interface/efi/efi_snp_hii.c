/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A form that shows a card's settings. This miniature writes its text, but does not install it. */
#include <efi.h>
#include <netdevice.h>

#define FORM_SIZE 512

static struct {
	struct efi_snp_device *snpdev;
	char *text;
} form;

int efi_snp_hii_install ( struct efi_snp_device *snpdev, struct net_device *netdev ) {
	const struct setting *const *setting;
	char value[64];
	size_t len = 0;

	form.text = malloc ( FORM_SIZE );
	if ( ! form.text )
		return 1;
	form.snpdev = snpdev;
	FOR_TABLE ( setting, settings ) {
		if ( fetch_setting ( netdev, ( *setting )->name, value, sizeof ( value ) ) >= 0 )
			len += snprintf ( form.text + len, FORM_SIZE - len, "%s (%s): %s\n", ( *setting )->name, ( *setting )->help, value );
	}
	return 0;
}

void efi_snp_hii_uninstall ( struct efi_snp_device *snpdev ) {
	if ( form.snpdev != snpdev )
		return;
	free ( form.text );
	form.snpdev = NULL;
	form.text = NULL;
}
