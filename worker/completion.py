"""Completion for bash, zsh and fish: a script that knows every command and option by itself.

Static on purpose: pressing Tab starts no process, so it answers at once. After an upgrade it is made anew.
"""

from __future__ import annotations

from worker.cli_tree import Command, Parameter

SHELLS = ("bash", "zsh", "fish")


def script(root: Command, program: str, shell: str) -> str:
    """The script of one of SHELLS."""
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell](root, program)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _name(program: str) -> str:
    return "_" + program.replace("-", "_")


def _words(command: Command) -> list[str]:
    """Everything that may stand next."""
    return [
        *(one.path[-1] for one in command.commands),
        *(word for argument in command.arguments for word in argument.choices),
        *(name for option in command.options for name in option.names),
    ]


def _bash(root: Command, program: str) -> str:
    cases = "\n".join(
        f"    {_quoted(' '.join(command.path))}) words={_quoted(' '.join(_words(command)))} ;;"
        for command in root.walk()
    )
    values = "\n".join(
        f"    {_pattern(command, option)}) {_bash_value(option)}; return ;;"
        for command in root.walk()
        for option in command.options
        if option.value is not None
    )
    paths = " | ".join(_quoted(" ".join(one.path)) for one in root.walk() if one.path)
    name = _name(program)
    return f"""# bash completion for {program}; made by: {program} completion bash
{name}() {{
  local current="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD-1]}}" path="" word words index
  for ((index = 1; index < COMP_CWORD; index++)); do
    word="${{path:+$path }}${{COMP_WORDS[index]}}"
    case "$word" in {paths}) path="$word" ;; esac
  done
  COMPREPLY=()
  case "$path $before" in
{values}
  esac
  case "$path" in
{cases}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o filenames -F {name} {program}
"""


def _pattern(command: Command, option: Parameter) -> str:
    return " | ".join(_quoted(f"{' '.join(command.path)} {name}") for name in option.names)


def _bash_value(option: Parameter) -> str:
    if option.choices:
        return f'COMPREPLY=($(compgen -W {_quoted(" ".join(option.choices))} -- "$current"))'
    if option.is_file:
        return 'COMPREPLY=($(compgen -f -- "$current"))'
    return 'COMPREPLY=($(compgen -d -- "$current"))' if option.is_folder else "COMPREPLY=()"


def _zsh(root: Command, program: str) -> str:
    functions = "\n".join(_zsh_function(command, program) for command in root.walk())
    return f"""#compdef {program}
# zsh completion for {program}; made by: {program} completion zsh
{functions}
if [ "$funcstack[1]" = "{_name(program)}" ]; then
  {_name(program)} "$@"
else
  compdef {_name(program)} {program}
fi
"""


def _zsh_function(command: Command, program: str) -> str:
    name = _name(program) + "".join(f"__{word.replace('-', '_')}" for word in command.path)
    specs = [_zsh_option(option, spelled) for option in command.options for spelled in option.names]
    if not command.commands:
        specs += [_zsh_argument(one) for one in command.arguments]
        return f"{name}() {{\n  _arguments \\\n    {_joined(specs)}\n}}"
    listed = "\n".join(f"    {_quoted(f'{one.path[-1]}:{_zsh_text(one.short)}')}" for one in command.commands)
    cases = "\n".join(
        f"        {one.path[-1]}) {name}__{one.path[-1].replace('-', '_')} ;;" for one in command.commands
    )
    return f"""{name}() {{
  local line state
  local -a commands
  commands=(
{listed}
  )
  _arguments -C \\
    {_joined(specs)} \\
    '1: :->command' '*:: :->rest'
  case "$state" in
    command) _describe command commands ;;
    rest)
      case "$line[1]" in
{cases}
      esac ;;
  esac
}}"""


def _zsh_argument(one: Parameter) -> str:
    action = f"({' '.join(one.choices)})" if one.choices else "_files"
    return _quoted(f"*:{_zsh_text(one.names[0])}:{action}")


def _joined(specs: list[str]) -> str:
    return " \\\n    ".join(specs)


def _zsh_text(text: str) -> str:
    for sign in "\\:[]":
        text = text.replace(sign, f"\\{sign}")
    return text


def _zsh_option(option: Parameter, spelled: str) -> str:
    told = f"{spelled}[{_zsh_text(option.help)}]"
    if option.value is None:
        return _quoted(told)
    value = _zsh_text(option.value)
    if option.choices:
        return _quoted(f"{told}:{value}:({' '.join(option.choices)})")
    action = "_files" if option.is_file else "_files -/" if option.is_folder else " "
    return _quoted(f"{told}:{value}:{action}")


def _fish(root: Command, program: str) -> str:
    lines = [
        f"# fish completion for {program}; made by: {program} completion fish",
        f"complete -c {program} -f",
    ]
    for command in root.walk():
        where = _fish_condition(command)
        lines += [
            f"complete -c {program} {where} -a {one.path[-1]} -d {_fish_quoted(one.short)}"
            for one in command.commands
        ]
        lines += [
            f"complete -c {program} {where} -a {_fish_quoted(' '.join(one.choices))}"
            for one in command.arguments
            if one.choices
        ]
        lines += [f"complete -c {program} {where} {_fish_option(option)}" for option in command.options]
    return "\n".join(lines) + "\n"


def _fish_condition(command: Command) -> str:
    """True after exactly these commands."""
    seen = [f"__fish_seen_subcommand_from {word}" for word in command.path]
    names = [one.path[-1] for one in command.commands]
    if names:
        seen.append(f"not __fish_seen_subcommand_from {' '.join(names)}")
    return f"-n {_fish_quoted('; and '.join(seen))}"


def _fish_option(option: Parameter) -> str:
    names = [f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names]
    value = ""
    if option.choices:
        value = f" -x -a {_fish_quoted(' '.join(option.choices))}"
    elif option.is_file:
        value = " -r -F"
    elif option.is_folder:
        value = " -x -a '(__fish_complete_directories)'"
    elif option.value is not None:
        value = " -x"
    return f"{' '.join(names)}{value} -d {_fish_quoted(option.help)}"


def _fish_quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
