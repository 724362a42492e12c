//! The text of a policy file (YAML) becomes a [`Policy`]. What is wrong is said with its line. Pure.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde::Deserialize;
use serde_saphyr::Spanned;

use super::policy::{Groups, Pattern, PatternError, Policy, Rule};
use super::scope::Actions;

/// Why a policy is not used.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// Not YAML, or not of this form; the text has the line.
    #[error("{0}")]
    Form(String),
    /// Right in form, but wrong.
    #[error("line {line}: {mistake}")]
    Mistake {
        /// The line, from 1.
        line: u64,
        /// What is wrong there.
        mistake: Mistake,
    },
}

/// What can be wrong with a word in a policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mistake {
    /// An action that there is not.
    #[error("there is no action `{0}`; there are pull, push, delete and metrics")]
    Action(String),
    /// A group that is not defined.
    #[error("there is no group `{0}`")]
    Group(String),
    /// Not a name.
    #[error("nobody can be called `{0}`")]
    Who(String),
    /// A group in a group.
    #[error("a group has users as members, not `{0}`")]
    Member(String),
    /// Not a pattern.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// A rule about nobody, or that allows nothing.
    #[error("the rule has an empty `{0}`")]
    Empty(&'static str),
    /// Actions without places.
    #[error("the rule needs `in`: the repositories that it is about (`in: [\"*\"]` for all)")]
    NoPlace,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    groups: BTreeMap<String, Vec<Spanned<String>>>,
    #[serde(default)]
    rules: Vec<Spanned<Entry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    who: Vec<Spanned<String>>,
    may: Vec<Spanned<String>>,
    #[serde(default, rename = "in")]
    within: Vec<Spanned<String>>,
    #[serde(default)]
    except: Vec<Spanned<String>>,
}

impl Policy {
    /// Reads a policy.
    ///
    /// # Errors
    /// When it is not YAML of the documented form, or says something that cannot be meant.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let file: File = match text.trim().is_empty() {
            true => File { groups: BTreeMap::new(), rules: Vec::new() },
            false => serde_saphyr::from_str(text).map_err(|error| PolicyError::Form(error.to_string()))?,
        };
        let groups = groups(&file)?;
        let rules = file.rules.iter().map(|entry| rule(entry, &groups)).collect::<Result<_, _>>()?;
        Ok(Self { rules })
    }
}

fn at<T>(word: &Spanned<T>, mistake: impl Into<Mistake>) -> PolicyError {
    PolicyError::Mistake { line: word.referenced.line(), mistake: mistake.into() }
}

fn groups(file: &File) -> Result<Groups, PolicyError> {
    let mut groups = Groups::new();
    for (name, members) in &file.groups {
        for member in members {
            if member.value.starts_with('@') || matches!(member.value.as_str(), "*" | "anonymous" | "") {
                return Err(at(member, Mistake::Member(member.value.clone())));
            }
        }
        groups.insert(name.clone(), members.iter().map(|member| member.value.clone()).collect());
    }
    Ok(groups)
}

fn rule(entry: &Spanned<Entry>, groups: &Groups) -> Result<Rule, PolicyError> {
    let (Entry { who, may, within, except }, mut rule) = (&entry.value, Rule::default());
    for (list, name) in [(who, "who"), (may, "may")] {
        if list.is_empty() {
            return Err(at(entry, Mistake::Empty(name)));
        }
    }
    for word in who {
        subject(word, groups, &mut rule)?;
    }
    let mut words = BTreeSet::new();
    for word in may {
        match word.value.as_str() {
            "metrics" => rule.metrics = true,
            "pull" | "push" | "delete" | "*" => drop(words.insert(word.value.as_str())),
            other => return Err(at(word, Mistake::Action(other.to_owned()))),
        }
    }
    rule.actions = Actions::named(words);
    if !rule.actions.is_none() && within.is_empty() {
        return Err(at(entry, Mistake::NoPlace));
    }
    rule.within = patterns(within)?;
    rule.except = patterns(except)?;
    Ok(rule)
}

fn patterns(words: &[Spanned<String>]) -> Result<Vec<Pattern>, PolicyError> {
    words.iter().map(|word| Pattern::parse(&word.value).map_err(|error| at(word, error))).collect()
}

fn subject(word: &Spanned<String>, groups: &Groups, rule: &mut Rule) -> Result<(), PolicyError> {
    match word.value.as_str() {
        "anonymous" => rule.anonymous = true,
        "*" => rule.everybody = true,
        name if name.starts_with('@') => {
            let members = groups.get(&name[1..]);
            let members = members.ok_or_else(|| at(word, Mistake::Group(name[1..].to_owned())))?;
            members.iter().for_each(|member| add(member, rule));
        }
        "" => return Err(at(word, Mistake::Who(String::new()))),
        name if name.chars().any(char::is_control) => return Err(at(word, Mistake::Who(name.to_owned()))),
        name => add(name, rule),
    }
    Ok(())
}

fn add(name: &str, rule: &mut Rule) {
    let (set, name): (&mut HashSet<String>, _) = match name.strip_prefix("cert:") {
        Some(name) => (&mut rule.certificates, name),
        None => (&mut rule.users, name),
    };
    set.insert(name.to_owned());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::policy::Subject;
    use proptest::prelude::*;

    const EXAMPLE: &str = "
groups:
  ops: [anna, 'cert:ops.example']
rules:
  - who: ['@ops']
    may: ['*', metrics]
    in: ['*']
  - who: [anonymous]
    may: [pull]
    in: [library/, docker.io/library/]
    except: [library/secret]
  - {who: ['*'], may: [pull, push], in: ['home/{user}/']}
  - {who: [robot], may: [metrics]}
";

    #[test]
    fn rules_allow_what_they_say_and_nothing_else() {
        let policy = Policy::parse(EXAMPLE).unwrap();
        let names = ["ops.example".to_owned()];
        let user = |name| Subject::User { name, certificate: &[] };
        let holder = Subject::User { name: "node-7", certificate: &names };
        let (pull, push) = (Actions::PULL, Actions::PULL.or(Actions::PUSH));
        for (subject, repository, want) in [
            (user("anna"), "any/thing", Actions::ALL),
            (holder, "any/thing", Actions::ALL),
            (user("ops.example"), "any/thing", Actions::NONE),
            (user("cert:ops.example"), "any/thing", Actions::NONE),
            (Subject::Anonymous, "library/nginx", pull),
            (Subject::Anonymous, "library/secret", Actions::NONE),
            (Subject::Anonymous, "library/secret/deep", Actions::NONE),
            (Subject::Anonymous, "library/secrets", pull),
            (Subject::Anonymous, "home/ben/a", Actions::NONE),
            (user("ben"), "home/ben/a", push),
            (user("ben"), "home/anna/a", Actions::NONE),
            (user("ben"), "library/nginx", pull),
            (user("anonymous"), "library/secret", Actions::NONE),
            (user("anna"), "*", Actions::ALL),
            (user("ben"), "*", Actions::NONE),
        ] {
            assert_eq!(policy.actions(subject, repository), want, "{subject:?} {repository}");
        }
        let but_one = Policy::parse("rules: [{who: ['*'], may: [pull], in: ['*'], except: [secret]}]").unwrap();
        assert_eq!((but_one.actions(user("ben"), "a"), but_one.actions(user("ben"), "*")), (pull, Actions::NONE));
        assert!(policy.metrics(user("anna")) && policy.metrics(user("robot")) && !policy.metrics(user("ben")));
        assert!(policy.knows(Subject::Anonymous) && policy.knows(user("ben")));
        let nothing = Policy::parse("\n").unwrap();
        assert!(!nothing.knows(Subject::Anonymous) && nothing.actions(user("anna"), "a").is_none());
    }

    #[test]
    fn mistakes_are_said_with_their_line() {
        for (text, want) in [
            (
                "rules:\n  - who: [anna]\n    may:\n      - pull\n      - fly\n    in: [a]\n",
                "line 5: there is no action `fly`; there are pull, push, delete and metrics",
            ),
            ("rules:\n- {who: ['@ops'], may: [pull], in: [a]}", "line 2: there is no group `ops`"),
            ("groups:\n  ops:\n  - '@dev'\n", "line 3: a group has users as members, not `@dev`"),
            (
                "rules:\n- who: [anna]\n  may: [pull]\n  in:\n  - a\n  - Team/\n",
                "line 6: no repository has a name that begins with `Team/`",
            ),
            ("rules:\n- who: []\n  may: [pull]\n  in: [a]\n", "line 2: the rule has an empty `who`"),
            (
                "rules:\n- who: [a]\n  may: [pull]\n",
                "line 2: the rule needs `in`: the repositories that it is about (`in: [\"*\"]` for all)",
            ),
            ("rules:\n- who: ['']\n  may: [pull]\n  in: [a]\n", "line 2: nobody can be called ``"),
        ] {
            assert_eq!(Policy::parse(text).unwrap_err().to_string(), want, "{text}");
        }
        for (text, parts) in [
            ("rules:\n- who: [a]\n  may: [pull]\n  in: [a]\n  expect: [b]\n", &["expect", "5"][..]),
            ("rules:\n- who: [a\n", &["line 2"]),
            ("rule: []\n", &["rule", "1"]),
            ("rules:\n- may: [pull]\n", &["who", "2"]),
            ("groups: {a: [b]}\ngroups: {a: [c]}\n", &["groups", "2"]),
        ] {
            let error = Policy::parse(text).unwrap_err().to_string();
            assert!(parts.iter().all(|part| error.contains(part)), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "(.|\n|rules:|who: |may: |in: |\\[|\\]|- |  |&a|\\*a){0,60}") {
            let _policy = Policy::parse(&text);
        }

        #[test]
        fn nobody_gets_more_than_the_rules_say(who in "[a-d]", repository in "[a-d]/[a-d]") {
            let policy = Policy::parse("rules:\n- {who: [a], may: [pull], in: [b/]}\n- {who: ['*'], may: [push], in: ['{user}/']}\n").unwrap();
            let subject = Subject::User { name: &who, certificate: &[] };
            let mut want = Actions::NONE;
            if who == "a" && repository.starts_with("b/") { want = want.or(Actions::PULL); }
            if repository.starts_with(&format!("{who}/")) { want = want.or(Actions::PUSH); }
            prop_assert_eq!(policy.actions(subject, &repository), want);
            prop_assert!(policy.actions(Subject::Anonymous, &repository).is_none());
        }
    }
}
