//! Shell completion for `sendpay-cli`, from the list of methods.

use crate::method::METHODS;

/// A script for bash: methods, then the parameters of the method as `name=`.
#[must_use]
pub fn bash() -> String {
    let mut names: Vec<&str> = METHODS
        .iter()
        .flat_map(|entry| std::iter::once(entry.name).chain(entry.aliases.iter().copied()))
        .collect();
    names.sort_unstable();
    let mut cases = String::new();
    for entry in METHODS {
        let params: Vec<String> = entry
            .params
            .iter()
            .map(|spec| format!("{}=", spec.name))
            .collect();
        let mut patterns = vec![entry.name];
        patterns.extend(entry.aliases);
        // The argument of these is a method.
        let words = match entry.name {
            "help" => names.join(" "),
            _ => params.join(" "),
        };
        cases.push_str(&format!(
            "        {}) words=\"{words}\" ;;\n",
            patterns.join("|")
        ));
    }
    format!(
        "# Completion of sendpay-cli for bash. Made from the list of methods; do not edit.\n\
         _sendpay_cli() {{\n\
         \x20   local word=\"${{COMP_WORDS[COMP_CWORD]}}\" method=\"\" words=\"\" i\n\
         \x20   for ((i = 1; i < COMP_CWORD; i++)); do\n\
         \x20       case \"${{COMP_WORDS[i]}}\" in\n\
         \x20       --dir|--network|--rpc-file|--format) ((i++)) ;;\n\
         \x20       -*) ;;\n\
         \x20       *) method=\"${{COMP_WORDS[i]}}\"; break ;;\n\
         \x20       esac\n\
         \x20   done\n\
         \x20   if [[ \"${{COMP_WORDS[COMP_CWORD-1]}}\" == --format ]]; then\n\
         \x20       COMPREPLY=($(compgen -W \"csv json jsonl table\" -- \"$word\"))\n\
         \x20       return\n\
         \x20   fi\n\
         \x20   if [[ -z \"$method\" ]]; then\n\
         \x20       COMPREPLY=($(compgen -W \"{methods}\" -- \"$word\"))\n\
         \x20       return\n\
         \x20   fi\n\
         \x20   case \"$method\" in\n\
         {cases}\
         \x20   esac\n\
         \x20   COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n\
         \x20   [[ \"${{COMPREPLY[0]}}\" == *= ]] && compopt -o nospace\n\
         }}\n\
         complete -F _sendpay_cli sendpay-cli\n",
        methods = names.join(" "),
    )
}
