/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What Debian's packages have beside upstream's own configuration.
 */
#define DOWNLOAD_PROTO_HTTPS
#define DOWNLOAD_PROTO_NFS
#define CERT_CMD
#define CONSOLE_CMD
#define PING_CMD
#define VLAN_CMD
