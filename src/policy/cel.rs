//! The static rules as CEL expressions over a pod that is being admitted, as the API server evaluates them.
//! Must not know settings or namespaces; says the same as the rules themselves, which a test proves on an API server.
//!
//! Only breaches are expressed: what the rules merely remark on turns no pod away.

/// One rule in CEL.
pub(super) struct Expression {
    /// The rule.
    pub rule: &'static str,
    /// Names and expressions, each of which may use those before it. The last one is a list of what is at fault.
    pub variables: Vec<(&'static str, String)>,
    /// Text of the message, an expression too.
    pub message: &'static str,
}

/// Every container of every kind that an update has not left as it was. Only images change in a running pod.
const CONTAINERS: &str = "(has(object.spec.containers) ? object.spec.containers : []) \
    + (has(object.spec.initContainers) ? object.spec.initContainers : []) \
    + (has(object.spec.ephemeralContainers) ? object.spec.ephemeralContainers : [])";
const BEFORE: &str = "oldObject == null ? [] : (has(oldObject.spec.containers) ? oldObject.spec.containers : []) \
    + (has(oldObject.spec.initContainers) ? oldObject.spec.initContainers : []) \
    + (has(oldObject.spec.ephemeralContainers) ? oldObject.spec.ephemeralContainers : [])";
const CHANGED: &str = "variables.all.filter(c, !variables.before.exists(o, o.name == c.name && o.image == c.image))";

/// The containers that a rule judges, as the variable `judged`; `exempt` is an expression over a container `c`.
fn judged(exempt: Option<&str>) -> Vec<(&'static str, String)> {
    let filter = exempt.map_or_else(String::new, |exempt| format!(".filter(c, !({exempt}))"));
    vec![("all", CONTAINERS.to_owned()), ("before", BEFORE.to_owned()), ("judged", format!("{CHANGED}{filter}"))]
}

/// A field of the pod's security context as an expression, or what stands for an absent one.
fn of_pod(field: &str, absent: &str) -> String {
    of("object.spec", field, absent)
}

/// A field of a security context: `of("c", "windowsOptions.hostProcess", "false")`.
fn of(owner: &str, field: &str, absent: &str) -> String {
    let mut known = format!("has({owner}.securityContext)");
    let mut path = format!("{owner}.securityContext");
    for part in field.split('.') {
        path = format!("{path}.{part}");
        known = format!("{known} && has({path})");
    }
    format!("({known} ? {path} : {absent})")
}

/// Who each judged container runs as, one map each: the container's own fields over the pod's.
fn identities(exempt: Option<&str>, accept_user_namespaces: bool) -> Vec<(&'static str, String)> {
    let mut variables = judged(exempt);
    let accepted = if accept_user_namespaces {
        "has(object.spec.hostUsers) && object.spec.hostUsers == false ? [] : "
    } else {
        ""
    };
    let non_root = |owner: &str, absent: &str| {
        let path = format!("{owner}.securityContext.runAsNonRoot");
        let set = format!("has({owner}.securityContext) && has({path})");
        format!("({set} ? ({path} ? 1 : 0) : {absent})")
    };
    variables.extend([
        ("windows", "has(object.spec.os) && object.spec.os.name == 'windows'".to_owned()),
        ("linux", "has(object.spec.os) && object.spec.os.name == 'linux'".to_owned()),
        ("podUser", of_pod("runAsUser", "-1")),
        ("podGroup", of_pod("runAsGroup", "-1")),
        ("podNonRoot", non_root("object.spec", "-1")),
        ("podWindowsUser", of_pod("windowsOptions.runAsUserName", "''")),
        ("podHostProcess", of_pod("windowsOptions.hostProcess", "false")),
        (
            "identities",
            format!(
                "{accepted}variables.judged.map(c, {{'name': dyn(c.name), \
                 'user': dyn(variables.windows ? -1 : {}), 'group': dyn(variables.windows ? -1 : {}), \
                 'nonRoot': dyn({}), 'windowsUser': dyn(variables.linux ? '' : {}), \
                 'hostProcess': dyn(!variables.linux && {})}})",
                of("c", "runAsUser", "variables.podUser"),
                of("c", "runAsGroup", "variables.podGroup"),
                non_root("c", "variables.podNonRoot"),
                of("c", "windowsOptions.runAsUserName", "variables.podWindowsUser"),
                of("c", "windowsOptions.hostProcess", "variables.podHostProcess"),
            ),
        ),
    ]);
    variables
}

const ADMINISTRATOR: &str = r"i.windowsUser.matches('(?i)(^|\\\\)(ContainerAdministrator|Administrator|SYSTEM)$')";

/// The grammar of image references, as in `crate::image`; what is in the brackets of an IPv6 address, and the whole
/// name's length, are left to the container runtime.
mod grammar {
    const LABEL: &str = "[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?";
    const PORT: &str = ":0*(?:[0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])";
    const WORDS: &str = "[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*";
    const WORDS_WITHOUT_DOT: &str = "[a-z0-9]+(?:(?:_|__|-+)[a-z0-9]+)*";
    pub(super) const TAG: &str = "[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}";
    const HEX: &str = "[0-9a-fA-F]";

    /// Registry and repository: what stands before the first slash is a registry if it has a dot, a port or brackets.
    pub(super) fn name() -> String {
        let host = format!(r"(?:{LABEL}(?:\.{LABEL})*|\[[0-9A-Fa-f:.]+\])(?:{PORT})?");
        format!("(?:{WORDS}|(?:{host}|{WORDS_WITHOUT_DOT})(?:/{WORDS})+)")
    }

    pub(super) fn known_digest() -> String {
        format!("(?:sha256:{HEX}{{64}}|sha384:{HEX}{{96}}|sha512:{HEX}{{128}})")
    }

    pub(super) fn other_digest() -> String {
        format!("[A-Za-z][A-Za-z0-9]*(?:[+._-][A-Za-z][A-Za-z0-9]*)*:{HEX}{{32,}}")
    }
}

/// Whether a text expression names an image that stays the same, or is left to others.
fn is_pinned(image: &str) -> String {
    let matches = |pattern: &str| format!("{image}.matches(variables.{pattern})");
    format!(
        "({image} == '' || ({} && !{image}.endsWith(':latest')) || {} || ({} && !{}))",
        matches("tagged"),
        matches("withKnownDigest"),
        matches("withOtherDigest"),
        matches("namesKnownDigest"),
    )
}

/// The patterns of [`is_pinned`] as variables.
fn patterns() -> Vec<(&'static str, String)> {
    let (name, tag) = (grammar::name(), grammar::TAG);
    vec![
        ("tagged", quoted(&format!("^{name}:{tag}$"))),
        ("withKnownDigest", quoted(&format!("^{name}(?::{tag})?@{}$", grammar::known_digest()))),
        ("withOtherDigest", quoted(&format!("^{name}(?::{tag})?@{}$", grammar::other_digest()))),
        ("namesKnownDigest", quoted("@sha(?:256|384|512):")),
    ]
}

/// Whether the container `c` has an image of this repository, whatever its tag or digest; `hub` when it is Docker
/// Hub's.
pub(super) fn has_image(registry: Option<&str>, repository: &str) -> String {
    let escaped = |text: &str| text.replace('.', r"\.").replace('[', r"\[").replace(']', r"\]");
    let name = if let Some(registry) = registry {
        format!("{}/{}", escaped(registry), escaped(repository))
    } else {
        let single = repository.strip_prefix("library/").filter(|rest| !rest.contains('/'));
        let path = single.map_or_else(|| escaped(repository), |single| format!("(?:library/)?{}", escaped(single)));
        format!(r"(?:(?:docker\.io|index\.docker\.io|registry-1\.docker\.io)/)?{path}")
    };
    let pattern = format!("^{name}(?::{})?(?:@{})?$", grammar::TAG, grammar::other_digest());
    format!("has(c.image) && c.image.matches({})", quoted(&pattern))
}

/// A text as a CEL literal.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', r"\\").replace('\'', r"\'"))
}

/// A list of texts as a CEL literal.
pub(super) fn list<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    format!("[{}]", texts.into_iter().map(quoted).collect::<Vec<_>>().join(", "))
}

/// Every rule that CEL can express. `exempt` gives the expression over a container `c` that a rule does not bind.
pub(super) fn expressions(
    exempt: impl Fn(&'static str) -> Option<String>,
    accept_user_namespaces: bool,
) -> Vec<Expression> {
    let exempt = |rule| exempt(rule);
    let with = |mut variables: Vec<(&'static str, String)>, bad: String| {
        variables.push(("bad", bad));
        variables
    };
    let identity = |rule: &'static str, bad: &str, message: &'static str| Expression {
        rule,
        variables: with(
            // A user namespace makes nothing of the group.
            identities(exempt(rule).as_deref(), accept_user_namespaces && rule != "root-group"),
            format!("variables.identities.filter(i, {bad}).map(i, string(i.name))"),
        ),
        message,
    };
    let resource = |list: &str, resource: &str| {
        let has = |owner: &str| {
            let path = format!("{owner}.resources.{list}");
            format!("(has({owner}.resources) && has({path}) && '{resource}' in {path})")
        };
        format!("{} || {}", has("c"), has("object.spec"))
    };
    let request = |name: &str| format!("({} || {})", resource("requests", name), resource("limits", name));
    let images = format!(
        "variables.judged.filter(c, has(c.image) && !{}).map(c, 'container ' + c.name) \
         + (oldObject == null && has(object.spec.volumes) ? object.spec.volumes.filter(v, has(v.image) && \
         has(v.image.reference) && !{}).map(v, 'volume ' + v.name) : [])",
        is_pinned("c.image"),
        is_pinned("v.image.reference"),
    );
    vec![
        Expression {
            rule: "latest-tag",
            variables: with([judged(exempt("latest-tag").as_deref()), patterns()].concat(), images),
            message: "'podfit: ' + variables.bad[0] + ': pin the image to a version or a digest'",
        },
        identity(
            "run-as-root",
            &format!(
                "i.user == 0 || (i.user == -1 && i.nonRoot == 0 && (!variables.windows || i.windowsUser == '')) \
                 || {ADMINISTRATOR} || i.hostProcess"
            ),
            "'podfit: container ' + variables.bad[0] + ': runs as root: set runAsUser to the image\\'s own user'",
        ),
        identity(
            "unproven-non-root",
            &format!(
                "i.user == -1 && i.nonRoot == -1 && !(variables.windows && i.windowsUser != '') && !({ADMINISTRATOR}) \
                 && !i.hostProcess"
            ),
            "'podfit: container ' + variables.bad[0] + ': may run as root, its image decides: set runAsNonRoot: true'",
        ),
        identity(
            "root-group",
            "i.group == 0",
            "'podfit: container ' + variables.bad[0] + ': its group is root\\'s: set the image\\'s own group'",
        ),
        Expression {
            rule: "missing-resources",
            variables: with(
                judged(exempt("missing-resources").as_deref()),
                format!(
                    "variables.judged.filter(c, !(has(object.spec.ephemeralContainers) && \
                     object.spec.ephemeralContainers.exists(e, e.name == c.name)) && !({} && {} && ({})))\
                     .map(c, c.name)",
                    request("cpu"),
                    request("memory"),
                    resource("limits", "memory"),
                ),
            ),
            message: "'podfit: container ' + variables.bad[0] + ': set a cpu request, a memory request and a memory limit'",
        },
        default_service_account(),
        Expression {
            rule: "host-path-data",
            variables: with(
                [
                    judged(exempt("host-path-data").as_deref()),
                    vec![(
                        "ofNode",
                        "has(object.spec.volumes) ? object.spec.volumes.filter(v, has(v.hostPath)).map(v, v.name) : []"
                            .to_owned(),
                    )],
                ]
                .concat(),
                "variables.judged.filter(c, has(c.volumeMounts) && c.volumeMounts.exists(m, m.name in variables.ofNode \
                 && !(has(m.readOnly) && m.readOnly))).map(c, c.name)"
                    .to_owned(),
            ),
            message: "'podfit: container ' + variables.bad[0] + ': writes to the node: use a volume claim or emptyDir'",
        },
    ]
}

fn default_service_account() -> Expression {
    let account = "has(object.spec.serviceAccountName) && object.spec.serviceAccountName != '' ? \
        object.spec.serviceAccountName : (has(object.spec.serviceAccount) ? object.spec.serviceAccount : '')";
    let token = "!(has(object.spec.automountServiceAccountToken) && !object.spec.automountServiceAccountToken) || \
        (has(object.spec.volumes) && object.spec.volumes.exists(v, has(v.projected) && has(v.projected.sources) && \
        v.projected.sources.exists(s, has(s.serviceAccountToken))))";
    Expression {
        rule: "default-service-account",
        variables: vec![
            ("account", account.to_owned()),
            ("token", token.to_owned()),
            (
                "bad",
                "oldObject == null && variables.account in ['', 'default'] && variables.token ? ['default'] : []"
                    .to_owned(),
            ),
        ],
        message: "'podfit: runs as service account default: set serviceAccountName, or \
                      automountServiceAccountToken: false'",
    }
}
