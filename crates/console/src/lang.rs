//! Chinese or English: each text stands in both where it is used.

use http::{HeaderMap, header::ACCEPT_LANGUAGE};
use wording::Wording;

/// Keeps what was chosen with the switch.
pub(crate) const COOKIE: &str = "yunqiao_lang";

/// The language of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lang {
    En,
    Zh,
}

impl Lang {
    /// What was chosen, else what the browser likes best of the two, else English.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        crate::web::cookie(headers, COOKIE)
            .and_then(Self::from_code)
            .unwrap_or_else(|| Self::liked(headers))
    }

    pub(crate) fn from_code(code: &str) -> Option<Self> {
        match code {
            "en" => Some(Self::En),
            "zh" => Some(Self::Zh),
            _ => None,
        }
    }

    /// As `lang` of HTML has it.
    pub(crate) fn tag(self) -> &'static str {
        self.t("en", "zh-CN")
    }

    pub(crate) fn t(self, en: &'static str, zh: &'static str) -> &'static str {
        match self {
            Self::En => en,
            Self::Zh => zh,
        }
    }

    /// What was said, in this language.
    pub(crate) fn of_wording(self, said: &Wording) -> &str {
        match self {
            Self::En => &said.en,
            Self::Zh => &said.zh,
        }
    }

    /// The Chinese text for whoever reads that, where there is one.
    pub(crate) fn either<'a>(self, en: &'a str, zh: &'a str) -> &'a str {
        match self {
            Self::Zh if !zh.is_empty() => zh,
            _ => en,
        }
    }

    fn liked(headers: &HeaderMap) -> Self {
        let header = headers.get(ACCEPT_LANGUAGE);
        let list = header.and_then(|value| value.to_str().ok()).unwrap_or_default();
        let mut best = (0.0, Self::En);
        for entry in list.split(',') {
            let mut parts = entry.split(';').map(str::trim);
            let tag = parts.next().unwrap_or_default();
            let primary = tag.split('-').next().unwrap_or_default().to_ascii_lowercase();
            let weight = parts.find_map(|part| part.strip_prefix("q="));
            let weight = weight.map_or(1.0, |weight| weight.parse().unwrap_or(0.0));
            if let Some(lang) = Self::from_code(&primary)
                && weight > best.0
            {
                best = (weight, lang);
            }
        }
        best.1
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_switch_goes_before_what_the_browser_likes() {
        for (cookie, accept, expected) in [
            ("", "", Lang::En),
            ("", "zh-CN,zh;q=0.9,en;q=0.8", Lang::Zh),
            ("", "de,en;q=0.7,zh;q=0.8", Lang::Zh),
            ("", "en-GB,zh", Lang::En),
            ("", "zh;q=nonsense,en;q=0.1", Lang::En),
            ("yunqiao=x; yunqiao_lang=zh", "en", Lang::Zh),
            ("yunqiao_lang=en", "zh", Lang::En),
            ("yunqiao_lang=\"><script>", "zh", Lang::Zh),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("cookie", cookie.parse().unwrap());
            headers.insert(ACCEPT_LANGUAGE, accept.parse().unwrap());
            assert_eq!(Lang::of(&headers), expected, "{cookie:?} {accept:?}");
        }
    }
}
