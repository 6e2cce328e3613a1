/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What Debian's packages have beside upstream's own configuration.
 */
#define DOWNLOAD_PROTO_HTTPS
#define DOWNLOAD_PROTO_NFS
#define PING_CMD
