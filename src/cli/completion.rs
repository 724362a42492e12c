//! `sealos completion SHELL`

use clap::Args;
use clap_complete::Shell;

use super::error::CommandError;
use super::world::World;

/// Print the completion script of a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  source <(sealos completion bash)
  sealos completion zsh > ~/.zfunc/_sealos
  sealos completion fish > ~/.config/fish/completions/sealos.fish")]
pub(crate) struct Completion {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Completion {
    pub(crate) fn run(self, world: &mut World<'_>) -> Result<(), CommandError> {
        // Into memory first: the generator panics when its writer fails, and a closed pipe is no error.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut super::command(), "sealos", &mut script);
        world.out.write_all(&script).map_err(CommandError::Output)
    }
}
