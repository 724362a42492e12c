//! The variables that a Kubefile's instructions see: build arguments, platform names, and the environment of the image.

use std::collections::BTreeMap;

use oci::{ImageConfig, Platform};

use super::error::BuildError;
use super::request::BuildRequest;
use super::world::World;
use crate::kubefile::{ArgDeclaration, Escape, Kubefile};

/// Arguments that RUN gets without asking, and that never count for the cache.
pub(crate) const PROXIES: [&str; 10] = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "FTP_PROXY",
    "ftp_proxy",
    "NO_PROXY",
    "no_proxy",
    "ALL_PROXY",
    "all_proxy",
];

/// The values that the command line gives.
///
/// # Errors
/// When an argument file cannot be read.
pub(crate) fn given(request: &BuildRequest, world: &World<'_>) -> Result<BTreeMap<String, String>, BuildError> {
    let mut values = BTreeMap::new();
    for path in &request.build_arg_files {
        let path = request.working_directory.join(path);
        let text = std::fs::read_to_string(&path);
        let text =
            text.map_err(|source| BuildError::InputFile { what: "argument file", path: path.clone(), source })?;
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let pair = line.split_once('=').filter(|(name, _)| !name.is_empty());
            let (name, value) = pair.ok_or(BuildError::ArgumentLine { path: path.clone(), line: number + 1 })?;
            values.insert(name.to_owned(), value.to_owned());
        }
    }
    for (name, value) in &request.build_args {
        match value.as_ref().or_else(|| world.environment.get(name)) {
            Some(value) => values.insert(name.clone(), value.clone()),
            None => values.remove(name),
        };
    }
    Ok(values)
}

/// What all stages share.
#[derive(Clone, Debug)]
pub(crate) struct Arguments {
    given: BTreeMap<String, String>,
    platform: BTreeMap<&'static str, String>,
    globals: BTreeMap<String, String>,
}

impl Arguments {
    /// The arguments of a build for `target`.
    ///
    /// # Errors
    /// When a global argument cannot be expanded.
    pub(crate) fn new(
        given: BTreeMap<String, String>,
        kubefile: &Kubefile,
        target: &Platform,
        stage: &str,
    ) -> Result<Self, BuildError> {
        let mut platform = BTreeMap::from([("TARGETSTAGE", stage.to_owned())]);
        let host = Platform::host();
        let sides = [
            (target, ["TARGETPLATFORM", "TARGETOS", "TARGETARCH", "TARGETVARIANT"]),
            (&host, ["BUILDPLATFORM", "BUILDOS", "BUILDARCH", "BUILDVARIANT"]),
        ];
        for (side, [whole, os, architecture, variant]) in sides {
            platform.insert(whole, side.to_string());
            platform.insert(os, side.os.clone());
            platform.insert(architecture, side.architecture.clone());
            platform.insert(variant, side.variant.clone().unwrap_or_default());
        }
        let mut arguments = Self { given, platform, globals: BTreeMap::new() };
        for located in &kubefile.global_args {
            for declaration in &located.value {
                let value = arguments.value(declaration, kubefile.escape, &|name| arguments.global(name));
                let value = value.map_err(|error| {
                    let (span, text) = (&located.origin.span, &located.origin.text);
                    error.at(&span.file, span.first_line, text)
                })?;
                if let Some(value) = value {
                    arguments.globals.insert(declaration.name.clone(), value);
                }
            }
        }
        Ok(arguments)
    }

    /// What FROM sees.
    pub(crate) fn global(&self, name: &str) -> Option<String> {
        self.globals.get(name).or_else(|| self.platform.get(name)).cloned()
    }

    /// The proxies that were given, for RUN.
    pub(crate) fn proxies(&self) -> impl Iterator<Item = (String, String)> + '_ {
        PROXIES.iter().filter_map(|name| Some(((*name).to_owned(), self.given.get(*name)?.clone())))
    }

    /// The names that were given and that nobody declares.
    pub(crate) fn unused<'a>(&'a self, kubefile: &'a Kubefile) -> impl Iterator<Item = &'a str> + 'a {
        use crate::kubefile::Instruction;
        let declared = move |name: &str| {
            let globals = kubefile.global_args.iter().map(|located| &located.value);
            let stages = kubefile.stages.iter().flat_map(|stage| &stage.instructions);
            let own = stages.filter_map(|it| if let Instruction::Arg(list) = &it.value { Some(list) } else { None });
            globals.chain(own).flatten().any(|declaration| declaration.name == name)
        };
        self.given.keys().map(String::as_str).filter(move |name| !declared(name) && !PROXIES.contains(name))
    }

    fn value(
        &self,
        declaration: &ArgDeclaration,
        escape: Escape,
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Option<String>, BuildError> {
        if let Some(value) = self.given.get(&declaration.name) {
            return Ok(Some(value.clone()));
        }
        declaration.resolve(escape, lookup).map_err(|error| BuildError::Value {
            what: "the default of ARG",
            text: declaration.name.clone(),
            reason: error.to_string(),
        })
    }
}

/// The arguments that a stage has declared so far.
#[derive(Clone, Debug)]
pub(crate) struct Scope<'a> {
    arguments: &'a Arguments,
    declared: Vec<(String, String)>,
}

impl<'a> Scope<'a> {
    /// Nothing declared yet.
    pub(crate) fn new(arguments: &'a Arguments) -> Self {
        Self { arguments, declared: Vec::new() }
    }

    /// `ARG`.
    ///
    /// # Errors
    /// When the default cannot be expanded.
    pub(crate) fn declare(
        &mut self,
        declaration: &ArgDeclaration,
        escape: Escape,
        config: &ImageConfig,
    ) -> Result<(), BuildError> {
        let own = self.arguments.value(declaration, escape, &|name| self.lookup(config, name))?;
        let value = own.or_else(|| self.arguments.global(&declaration.name));
        self.declared.retain(|(name, _)| *name != declaration.name);
        self.declared.extend(value.map(|value| (declaration.name.clone(), value)));
        Ok(())
    }

    /// The value that an instruction sees: ENV goes before ARG.
    pub(crate) fn lookup(&self, config: &ImageConfig, name: &str) -> Option<String> {
        if let Some(value) = config.env(name) {
            return Some(value.to_owned());
        }
        self.declared.iter().find(|(declared, _)| declared == name).map(|(_, value)| value.clone())
    }

    /// What was declared and has a value.
    pub(crate) fn declared(&self) -> &[(String, String)] {
        &self.declared
    }
}
