# SPDX-License-Identifier: GPL-2.0-or-later
from romforge.cli import main

raise SystemExit(main())
