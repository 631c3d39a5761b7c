//! A call that was made on the page, as text to take away: a command, and a test.

use crate::call::{Form, KINDS};

/// The same call on the command line.
pub(crate) fn command(form: &Form, dir: &str) -> String {
    let mut command = format!(
        "yunqiao call {} --as {}",
        quote(&form.function),
        quote(&form.user)
    );
    if form.event.trim() != "{}" {
        command += &format!(" --data {}", quote(&form.event));
    }
    for (kind, field) in &form.open_data {
        command += &format!(" --cloud-id {}", quote(&format!("{field}={kind}")));
    }
    command + &format!(" --dir {}", quote(dir))
}

/// The same call as a file for `node --test`, which asserts that it ends as it did: well, or with this `errCode`.
pub(crate) fn test(form: &Form, dir: &str, err_code: Option<i64>) -> String {
    // JSON is JavaScript, strings included.
    let text = |text: &str| serde_json::json!(text).to_string();
    let (user, function) = (text(&form.user), text(&form.function));
    let mut open_data = String::new();
    let mut fields = Vec::new();
    for (kind, field) in &form.open_data {
        let api = KINDS.iter().find(|(known, _)| known == kind);
        let api = text(api.map_or("", |(_, api)| api));
        let field = text(field);
        open_data += &format!("  data[{field}] = (await wx({api})).cloudID\n");
        fields.push(field);
    }
    let fields = fields.join(", ");
    let event = form.event.trim();
    let ends = match err_code {
        None => "assert.equal(reply.errMsg, 'cloud.callFunction:ok')".to_owned(),
        Some(code) => format!("assert.equal(reply.errCode, {code})"),
    };
    let dir = quote(dir);
    format!(
        r"// yunqiao exec {dir} -- node --test call.test.mjs
import assert from 'node:assert/strict'
import test from 'node:test'

const {{ YUNQIAO_URL, YUNQIAO_WECHAT_URL }} = process.env
const post = async (url, body, token = '') => {{
  const headers = {{ 'content-type': 'application/json', authorization: `Bearer ${{token}}` }}
  return (await fetch(url, {{ method: 'POST', headers, body: JSON.stringify(body) }})).json()
}}
const wx = (api) => post(`${{YUNQIAO_WECHAT_URL}}/sim/client`, {{ user: {user}, api }})

test({function}, async () => {{
  const {{ code }} = await wx('login')
  const {{ token }} = await post(`${{YUNQIAO_URL}}/v1/login`, {{ code }})
  const data = {event}
{open_data}  const reply = await post(`${{YUNQIAO_URL}}/v1/functions/${{{function}}}`, {{ data, cloudIDs: [{fields}] }}, token)
  {ends}
  console.log(reply.result ?? reply)
}})
"
    )
}

/// A word of a shell's.
fn quote(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./=:@".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(user: &str, event: &str) -> Form {
        Form::new(
            "werun",
            user,
            event,
            vec![("weRunData".to_owned(), "steps".to_owned())],
        )
    }

    #[test]
    fn a_test_says_what_it_saw_and_survives_quotes() {
        let form = form("o'Neil \"x\"", "{\"a\": 1}\n");
        let good = test(&form, "/p", None);
        for part in [
            "// yunqiao exec /p -- node --test",
            r#"user: "o'Neil \"x\"", api"#,
            r#"const data = {"a": 1}"#,
            r#"data["steps"] = (await wx("getWeRunData")).cloudID"#,
            r#"cloudIDs: ["steps"]"#,
            "assert.equal(reply.errMsg, 'cloud.callFunction:ok')",
        ] {
            assert!(good.contains(part), "{part} in {good}");
        }
        assert!(test(&form, "/p", Some(-504002)).contains("assert.equal(reply.errCode, -504002)"));
    }

    #[test]
    fn a_command_survives_the_shell() {
        let form = form("al ice", "{\"it's\": \"$HOME\"}");
        assert_eq!(
            command(&form, "/a b"),
            r#"yunqiao call werun --as 'al ice' --data '{"it'\''s": "$HOME"}' --cloud-id steps=weRunData --dir '/a b'"#
        );
    }
}
