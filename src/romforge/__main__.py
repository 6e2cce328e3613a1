# SPDX-License-Identifier: GPL-2.0-or-later
from romforge.cli.command_line import main

raise SystemExit(main())
