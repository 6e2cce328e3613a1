# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs the plan: doit's tasks, its state, what a build shows. The only room that knows doit."""
