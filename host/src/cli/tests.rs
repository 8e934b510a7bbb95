use clap::CommandFactory as _;

use super::*;

#[test]
fn the_command_line_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn help() {
    let mut texts = vec![Cli::command().render_long_help().to_string()];
    for command in Cli::command().get_subcommands_mut().filter(|command| !command.is_hide_set()) {
        let name = command.get_name().to_owned();
        texts.push(format!("=== {name}\n{}", command.render_long_help()));
    }
    insta::assert_snapshot!(texts.join("\n"));
}
