//! Rules of functions (云函数安全规则): who may call which as a client. On the platform they are one JSON for an environment,
//! `{"*": {"invoke": "auth != null"}, "pay": {"invoke": false}}`: a function's own rule goes before that of `*`.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    Caller, Denial,
    parse::{Language, RuleError},
    rule::Rule,
};

/// What it is called among the keys of a function's rules, and in a refusal.
const INVOKE: &str = "invoke";
/// The platform's own: whoever has logged in, be it anonymously.
const USUAL: &str = "auth != null";

/// A rule that says who may call a function: `true`, `false`, or an expression over `auth`.
#[derive(Clone, Debug, PartialEq)]
pub struct InvokeRule(Rule);

impl InvokeRule {
    /// Compiles a rule.
    ///
    /// # Errors
    /// What is wrong, where, and what to write instead.
    pub fn compile(rule: &Value) -> Result<Self, RuleError> {
        Rule::compile(INVOKE, rule, Language::Function).map(Self)
    }

    /// The rule as it is written.
    #[must_use]
    pub fn text(&self) -> &str {
        self.0.text()
    }

    /// Nobody but functions, timers and the operator.
    #[must_use]
    pub fn never() -> Self {
        Self(Rule::never(INVOKE))
    }
}

/// As the platform has it: whoever has logged in, be it anonymously.
impl Default for InvokeRule {
    fn default() -> Self {
        // It can be compiled, as a test shows; what cannot lets nobody.
        Self::compile(&USUAL.into()).unwrap_or_else(|_| Self::never())
    }
}

/// The rules of all functions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FunctionRules {
    /// `*`: of functions that are not named.
    pub others: InvokeRule,
    /// Of those that are.
    pub named: BTreeMap<String, InvokeRule>,
}

impl FunctionRules {
    /// The rule of a function.
    #[must_use]
    pub fn of(&self, name: &str) -> &InvokeRule {
        self.named.get(name).unwrap_or(&self.others)
    }

    /// Whether those may call it who have not logged in.
    #[must_use]
    pub fn lets_all_call(&self, name: &str) -> bool {
        self.judge(name, &Caller::default()).is_ok()
    }

    /// Whether this caller may call the function.
    ///
    /// # Errors
    /// Why not.
    pub fn judge(&self, name: &str, caller: &Caller) -> Result<(), Box<Denial>> {
        self.of(name).0.judge_caller(INVOKE, caller, None)
    }
}
