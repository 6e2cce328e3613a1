# SPDX-License-Identifier: GPL-2.0-or-later
# Completes romforge's command line in bash: source this, or put it where bash-completion looks, as `romforge`.

_romforge() {
    local kind='' line
    COMPREPLY=()
    while IFS= read -r line; do
        if [[ -n $kind ]]; then COMPREPLY+=("$line"); else kind=$line; fi
    done < <("${1/#\~\//$HOME/}" __complete bash "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
    case $kind in
        files) compopt -o default -o bashdefault ;;
        directories) compopt -o dirnames ;;
    esac
}
complete -F _romforge romforge
