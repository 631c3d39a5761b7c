//! What text and image checks answer. Everything passes unless a rule says otherwise; `/sim/verdicts` sets rules.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The texts that the document of `security.msgSecCheck` 1.0 gives to try a refusal with.
const OFFICIAL_SAMPLES: [&str; 2] = [
    "特3456书yuuo莞6543李zxcz蒜7782法fgnv级",
    "完2347全dfji试3726测asad感3847知qwez到",
];

/// Of what is fit to be shown (正常).
const LABEL_NORMAL: u32 = 100;
/// Of what is not, for no reason that has a number of its own (其他).
const LABEL_OTHER: u32 = 21000;

/// A rule, as `POST /sim/verdicts` brings and `GET` shows it: `{"kind":"text","contains":"…","suggest":"risky"}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    kind: CheckKind,
    /// `text`: for texts that have this in them; `media`: for addresses that do; all if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    contains: Option<String>,
    /// `image`: for the file with this SHA-256, in hex; all if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    suggest: Suggest,
    /// WeChat's number for why: 10001 advertisement, 20001 politics, 20002 pornography, … 21000 other, 100 normal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    label: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum CheckKind {
    Text,
    Image,
    /// What is checked later, by its address: the file is not fetched.
    Media,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Suggest {
    Risky,
    Review,
    Pass,
}

/// The rules; of those that are about something, the newest decides.
#[derive(Debug)]
pub(crate) struct Verdicts(Vec<Rule>);

impl Default for Verdicts {
    fn default() -> Self {
        let risky = |text: &str| Rule {
            kind: CheckKind::Text,
            contains: Some(text.to_owned()),
            sha256: None,
            suggest: Suggest::Risky,
            label: None,
        };
        Self(OFFICIAL_SAMPLES.map(risky).to_vec())
    }
}

impl Verdicts {
    pub(crate) fn rules(&self) -> &[Rule] {
        &self.0
    }

    pub(crate) fn put(&mut self, rule: Rule) {
        self.0.push(rule);
    }

    /// What is said of `texts`, all together.
    pub(crate) fn of_texts(&self, texts: &[&str]) -> Verdict {
        self.newest(|rule| {
            let in_texts = |part: &String| texts.iter().any(|text| text.contains(part));
            rule.kind == CheckKind::Text && rule.contains.as_ref().is_none_or(in_texts)
        })
    }

    /// What is said of the file with this SHA-256.
    pub(crate) fn of_image(&self, sha256: &str) -> Verdict {
        self.newest(|rule| {
            let same = |given: &String| given.eq_ignore_ascii_case(sha256);
            rule.kind == CheckKind::Image && rule.sha256.as_ref().is_none_or(same)
        })
    }

    /// What is said of the file at this address.
    pub(crate) fn of_media(&self, url: &str) -> Verdict {
        self.newest(|rule| {
            rule.kind == CheckKind::Media && rule.contains.as_ref().is_none_or(|part| url.contains(part))
        })
    }

    fn newest(&self, about: impl Fn(&Rule) -> bool) -> Verdict {
        match self.0.iter().rev().find(|rule| about(rule)) {
            Some(rule) => Verdict {
                suggest: rule.suggest,
                label: rule.label.unwrap_or(match rule.suggest {
                    Suggest::Pass => LABEL_NORMAL,
                    Suggest::Risky | Suggest::Review => LABEL_OTHER,
                }),
            },
            None => Verdict {
                suggest: Suggest::Pass,
                label: LABEL_NORMAL,
            },
        }
    }
}

/// What is said of one content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    suggest: Suggest,
    label: u32,
}

impl Verdict {
    /// Whether the older checks, which know two answers only, refuse: 87014.
    pub(crate) fn is_risky(self) -> bool {
        self.suggest == Suggest::Risky
    }

    /// What version 2 of the text check answers: a success whatever the verdict.
    pub(crate) fn answer(self, trace_id: &str) -> Value {
        let (suggest, label) = (self.suggest, self.label);
        json!({
            "errcode": 0,
            "errmsg": "ok",
            "detail": [
                { "strategy": "content_model", "errcode": 0, "suggest": suggest, "label": label, "prob": 90 },
            ],
            "trace_id": trace_id,
            "result": { "suggest": suggest, "label": label },
        })
    }

    /// The fields of the event `wxa_media_check` with which a check of this version ends; null is one that is not there.
    pub(crate) fn event(self, appid: &str, trace_id: &str, version: u64) -> Value {
        let (suggest, label) = (self.suggest, self.label);
        if version < 2 {
            return json!({
                "isrisky": u8::from(self.is_risky()),
                "extra_info_json": "",
                "appid": appid,
                "trace_id": trace_id,
                "status_code": 0,
                // Of the second version alone.
                "version": null,
                "detail": null,
                "errcode": null,
                "errmsg": null,
                "result": null,
            });
        }
        json!({
            "appid": appid,
            "trace_id": trace_id,
            "version": 2,
            "detail": [
                { "strategy": "content_model", "errcode": 0, "suggest": suggest, "label": label, "prob": 90 },
            ],
            "errcode": 0,
            "errmsg": "ok",
            "result": { "suggest": suggest, "label": label },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_rule_about_a_content_decides() {
        let mut verdicts = Verdicts::default();
        assert!(verdicts.of_texts(&["ok", OFFICIAL_SAMPLES[0]]).is_risky());
        assert!(!verdicts.of_texts(&["hello world!"]).is_risky());
        assert!(!verdicts.of_image("00ff").is_risky());
        for rule in [
            json!({ "kind": "text", "contains": "world", "suggest": "review", "label": 10001 }),
            json!({ "kind": "image", "suggest": "risky" }),
            json!({ "kind": "image", "sha256": "00FF", "suggest": "pass" }),
        ] {
            #[allow(clippy::unwrap_used)]
            verdicts.put(serde_json::from_value(rule).unwrap());
        }
        let said = verdicts.of_texts(&["hello world!"]);
        assert_eq!((said.suggest, said.label), (Suggest::Review, 10001));
        assert!(!said.is_risky());
        assert!(!verdicts.of_image("00ff").is_risky());
        assert!(verdicts.of_image("ff00").is_risky());
    }
}
