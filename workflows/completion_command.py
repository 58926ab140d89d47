"""`completion`: what makes a shell complete our commands and options."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import Final

from core.errors import UsageError
from core.language import marked, tr
from utils.console import Console
from workflows.exit_codes import OK

__all__ = ["COMPLETION_ABOUT", "add_completion_options", "completion_command"]

COMPLETION_ABOUT: Final = marked("""\
把殼層的補完設定寫到標準輸出。之後打 ./main.py 或 main.py 再按 Tab, 就會補完指令、選項與檔名;
bash 打 python main.py 也可以 (其他的 python 指令照舊)。

  source <(python main.py completion bash)                   只在這個視窗
  python main.py completion bash > ~/.main-py-completion     之後在 ~/.bashrc 加一行:
                                                             source ~/.main-py-completion
  eval "$(python main.py completion zsh)"                    zsh, 放在 ~/.zshrc 的 compinit 之後
  python main.py completion tcsh > ~/.main-py.tcsh           tcsh, 在 ~/.tcshrc 加 source ~/.main-py.tcsh

需要套件 shtab (requirements.txt 裡有)。程式換了版本或換了位置, 請重新產生。
""")
_SHELLS: Final = ("bash", "zsh", "tcsh")
_ROOT: Final = Path(__file__).resolve().parents[1]
# Whoever starts us as `python main.py` completes the command `python`. What completed it before goes on to do so for
# everything that is not this very file; a compspec of bash's own, which loads them late, is asked at that time.
_UNDER_PYTHON: Final = """\

_main_py_previous() {
  local spec
  spec="$(complete -p "$1" 2>/dev/null)" || return 0
  [[ $spec =~ \\ -F\\ ([^\\ ]+) && ${BASH_REMATCH[1]} != _main_py_under_python ]] && printf '%s' "${BASH_REMATCH[1]}"
  return 0
}

_main_py_under_python() {
  local place=1
  while (( place < COMP_CWORD )) && [[ ${COMP_WORDS[place]} == -[!cm]* ]]; do (( place += 1 )); done
  local file="${COMP_WORDS[place]/#\\~/$HOME}"
  if (( place < COMP_CWORD )) && [[ $file -ef $_main_py_file ]]; then
    COMP_WORDS=("${COMP_WORDS[@]:place}")
    (( COMP_CWORD -= place ))
    _shtab_main_py "$file" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
    return
  fi
  local name="${1##*/}"
  local previous="_main_py_previous_${name//[^[:alnum:]]/_}"
  [[ -n ${!previous} ]] && { "${!previous}" "$@"; return; }
  COMPREPLY=()
  return 0
}

for _main_py_name in python python3; do
  printf -v "_main_py_previous_$_main_py_name" '%s' "$(_main_py_previous "$_main_py_name")"
  complete -o bashdefault -o default -F _main_py_under_python "$_main_py_name"
done
unset _main_py_name
"""


def add_completion_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", metavar="SHELL", choices=_SHELLS, help=", ".join(_SHELLS))


def completion_command(options: argparse.Namespace, out: Console, parser: argparse.ArgumentParser) -> int:
    """Write the script for the parser's commands. Raises UsageError where shtab is missing, OutputClosed."""
    try:
        import shtab
    except ImportError:
        raise UsageError(tr("沒有套件 shtab, 請執行 pip install -r requirements.txt")) from None
    script = shtab.complete(parser, options.shell)
    if options.shell == "bash":
        script += f"\n\n_main_py_file={shlex.quote(str(_ROOT / 'main.py'))}\n{_UNDER_PYTHON}"
    out.write_block(script)
    return OK
