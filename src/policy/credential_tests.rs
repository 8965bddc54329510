//! What `hardcoded-credential` takes for a credential in the pods of data platforms, and what not.
#![allow(clippy::needless_pass_by_value)] // rstest hands its cases over

use rstest::rstest;
use serde_json::{Value, json};

use super::tests::found;
use super::*;

/// Put together here, so that no scanner takes this file for a leak.
const AKIA: &str = concat!("AK", "IA", "QWERTYUIOPASDFGH");

fn reasons(spec: &Value) -> Vec<String> {
    found(spec, "hardcoded-credential", Options::default())
}

/// Variable, value, reason.
#[rstest]
// Airflow
#[case("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "postgresql+psycopg2://airflow:airflow@postgres/airflow", "address")]
#[case("AIRFLOW_CONN_WAREHOUSE", "postgres://etl:s3cr3t@db.internal:5432/dwh?sslmode=require", "address")]
#[case("AIRFLOW_CONN_DWH", r#"{"conn_type": "postgres", "login": "etl", "password": "s3cr3t"}"#, "named")]
#[case("AIRFLOW_CONN_S3", "aws://AKID:wJalrXUtnFEMI@/?region_name=eu-west-1", "address")]
#[case("AIRFLOW_CONN_HTTP", "http://api.internal:8080", "")]
#[case("AIRFLOW_CONN_DB", "$(DB_URL)", "")]
#[case("AIRFLOW_CONN_DB2", "postgres://etl:$(PASSWORD)@db/dwh", "")]
#[case("AIRFLOW_CONN_DB3", "postgres://etl:{{ var.value.pw }}@db/dwh", "")]
#[case("AIRFLOW__CORE__FERNET_KEY", "46BKJoQYlPPOexq0OhDZnIlNepKFf87WFwLbfzqDDho=", "named")]
#[case("AIRFLOW__CORE__FERNET_KEY", "", "")]
#[case("AIRFLOW__CORE__FERNET_KEY_CMD", "cat /etc/fernet", "")]
#[case("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_SECRET", "sql_alchemy_conn", "")]
#[case("AIRFLOW__WEBSERVER__SECRET_KEY", "temporary_key", "named")]
#[case("AIRFLOW__API_AUTH__JWT_SECRET", "q7ZlsW2m", "named")]
#[case("AIRFLOW__SECRETS__BACKEND", "airflow.providers.hashicorp.secrets.vault.VaultBackend", "")]
#[case("AIRFLOW__CELERY__BROKER_URL", "redis://:@redis:6379/0", "")]
#[case("AIRFLOW__CELERY__BROKER_URL", "redis://:hunter2@redis:6379/0", "address")]
#[case("AIRFLOW__CORE__EXECUTOR", "KubernetesExecutor", "")]
#[case("AIRFLOW_IS_K8S_EXECUTOR_POD", "True", "")]
// Spark and the JVM
#[case("SPARK_DRIVER_URL", "spark://CoarseGrainedScheduler@orders-driver-svc.jobs.svc:7078", "")]
#[case("SPARK_EXECUTOR_MEMORY", "4g", "")]
#[case("_SPARK_AUTH_SECRET", "b7f1c2aa90", "named")]
#[case("SPARK_JAVA_OPT_0", "-Dspark.ssl.keyStorePassword=changeit1", "named")]
#[case("SPARK_JAVA_OPT_1", "-Dspark.authenticate.secret.file=/etc/secret", "")]
#[case("SPARK_CONF", "spark.hadoop.fs.s3a.secret.key=wJalrXUtnFEMI/K7MDENG", "named")]
#[case("SPARK_CONF", "spark.hadoop.fs.s3a.aws.credentials.provider=com.amazonaws.auth.WebIdentity", "")]
#[case("JDBC_URL", "jdbc:postgresql://db/dwh?user=etl&password=s3cr3t", "named")]
#[case("JDBC_URL", "jdbc:sqlserver://db;databaseName=dwh;user=etl;password=${DB_PASSWORD}", "")]
#[case("JDBC_URL", "jdbc:sqlserver://db;databaseName=dwh;user=etl;password=s3cr3t;encrypt=true", "named")]
#[case("JDBC_URL", "jdbc:oracle:thin:scott/tiger@//db:1521/orcl", "address")]
#[case("JDBC_URL", "jdbc:oracle:thin:@//db:1521/orcl", "")]
#[case("JAVA_TOOL_OPTIONS", "-Xmx2g -Djavax.net.ssl.trustStore=/etc/ca.jks", "")]
// dbt
#[case("DBT_PASSWORD", "s3cr3t", "named")]
#[case("DBT_ENV_SECRET_GIT_CREDENTIAL", "pat-of-the-bot", "named")]
#[case("DBT_ENV_SECRET_PASSWORD", "$(WAREHOUSE_PASSWORD)", "")]
#[case("DBT_PROFILES_DIR", "/root/.dbt", "")]
#[case("SNOWFLAKE_PRIVATE_KEY_PATH", "/secrets/rsa.p8", "")]
#[case("SNOWFLAKE_PRIVATE_KEY_PASSPHRASE", "open-sesame", "named")]
#[case("SNOWFLAKE_KEY", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIE", "private-key")]
#[case("CA_BUNDLE", "-----BEGIN CERTIFICATE-----\nMIIE", "")]
// Prefect
#[case("PREFECT_API_KEY", concat!("pn", "u_0123456789abcdefghijklmnopqrstuvwxyz"), "token")]
#[case("PREFECT_API_URL", "https://api.prefect.cloud/api/accounts/1", "")]
#[case("PREFECT_API_KEY", "<your key>", "")]
#[case("PREFECT__FLOW_RUN_ID", "0bd3e8c7-8ad8-4f60-9ae5-6fb8f5c2cf2b", "")]
// Dagster
#[case("DAGSTER_PG_PASSWORD", "test", "named")]
#[case("DAGSTER_POSTGRES_PASSWORD_FILE", "/run/secrets/pg", "")]
#[case("DAGSTER_CLOUD_AGENT_TOKEN", "agent:acme:f00ba4", "named")]
#[case("DAGSTER_RUN_JOB_NAME", "token_refresh", "")]
// Flink
#[case("FLINK_PROPERTIES", "jobmanager.rpc.address: jm\ns3.secret-key: wJalrXUtnFEMI\n", "named")]
#[case("FLINK_PROPERTIES", "jobmanager.rpc.address: jm\ntaskmanager.numberOfTaskSlots: 2\n", "")]
#[case("ENABLE_BUILT_IN_PLUGINS", "flink-s3-fs-hadoop-1.19.0.jar", "")]
// Clouds
#[case("AWS_ACCESS_KEY_ID", AKIA, "token")]
#[case("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE", "")]
#[case("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzzzzzzzzz", "named")]
#[case("AWS_WEB_IDENTITY_TOKEN_FILE", "/var/run/secrets/eks.amazonaws.com/serviceaccount/token", "")]
#[case("AWS_SECRET_NAME", "prod/warehouse", "")]
#[case("GOOGLE_APPLICATION_CREDENTIALS", "/var/secrets/google/key.json", "")]
#[case(
    "GOOGLE_CREDENTIALS",
    r#"{"type": "service_account", "private_key": "-----BEGIN PRIVATE KEY-----\nMII"}"#,
    "private-key"
)]
#[case(
    "AZURE_STORAGE_CONNECTION_STRING",
    "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=Eby8vdM02xNO==;",
    "named"
)]
#[case("AZURE_CLIENT_ID", "1f0cba21-76b2-4df1-93b9-7a4a2dd6e01c", "")]
#[case("AZURE_CLIENT_SECRET", "abc~def.ghi", "named")]
#[case("DATABRICKS_HOST", "https://adb-1.azuredatabricks.net", "")]
#[case("DATABRICKS_TOKEN", concat!("da", "pi0123456789abcdef0123456789abcdef"), "token")]
#[case("GIT_SYNC_REPO", concat!("https://x-access-token:gh", "p_0123456789abcdefghijklmnopqrstuvwxyz@github.com/a/dags"), "token")]
#[case("GIT_SYNC_REPO", "https://github.com/acme/dags.git", "")]
#[case("GIT_SYNC_REPO", "git@github.com:acme/dags.git", "")]
#[case("SLACK_BOT", concat!("xo", "xb-123456789012-abcdefghijkl"), "token")]
#[case("SESSION", concat!("ey", "JhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.c2lnbmF0dXJl"), "token")]
// Names and values that look like it
#[case("PWD", "opt", "")]
#[case("DB_PWD", "s3cr3t", "named")]
#[case("DB_PASS", "s3cr3t", "named")]
#[case("COMPASS", "north", "")]
#[case("MAX_TOKENS", "many", "")]
#[case("TOKENIZERS_PARALLELISM", "maybe", "")]
#[case("TOKEN_URL", "https://login.example/token", "")]
#[case("TOKEN", "https://login.example/token", "")]
#[case("PARTITION_KEY", "customer_id", "")]
#[case("PUBLIC_KEY", "ssh-ed25519 AAAA", "")]
#[case("USE_PASSWORD", "true", "")]
#[case("PASSWORD", "8080", "")]
#[case("PASSWORD", "changeme", "")]
#[case("PASSWORD", "********", "")]
#[case("PASSWORD", "vault:secret/data/db#password", "")]
#[case("PASSWORD", "arn:aws:secretsmanager:eu-west-1:1:secret:db", "")]
#[case("PASSWORD", "/run/secrets/db", "")]
#[case("adminPassword2", "s3cr3t", "named")]
#[case("IMAGE", "reg.example:5000/app@sha256:0123", "")]
#[case("SCHEDULE", "0 3 * * *", "")]
#[case("PYTHONPATH", "/opt/dags:/opt/secret", "")]
fn environment(#[case] name: &str, #[case] value: &str, #[case] reason: &str) {
    let expected: Vec<String> = (!reason.is_empty()).then(|| format!("c:{reason}")).into_iter().collect();
    let env = json!([{"name": "A", "value": "b"}, {"name": name, "value": value}]);
    for field in ["containers", "initContainers", "ephemeralContainers"] {
        assert_eq!(reasons(&json!({field: [{"name": "c", "env": env}]})), expected, "{field}");
    }
}

#[rstest]
#[case(json!(["--password", "hunter2"]), "named")]
#[case(json!(["--password=hunter2"]), "named")]
#[case(json!(["--db-password", "$(DB_PASSWORD)"]), "")]
#[case(json!(["--password-file", "/run/secrets/db"]), "")]
#[case(json!(["--password", "--verbose"]), "")]
#[case(json!(["--token-ttl", "5m"]), "")]
#[case(json!(["sh", "-c", "PGPASSWORD=hunter2 psql -h db -f load.sql"]), "named")]
#[case(json!(["sh", "-c", "export PGPASSWORD=$(cat /run/secrets/db); psql -h db"]), "")]
#[case(json!(["sh", "-c", "curl -u $USER:$PASSWORD https://api/x"]), "")]
#[case(json!(["sh", "-c", "curl -H 'Authorization: Bearer $TOKEN' https://api/x"]), "")]
#[case(json!(["python", "-c", "password = os.environ['DB_PASSWORD']; connect(password=password)"]), "")]
#[case(json!(["python", "-c", "connect(password='hunter2')"]), "named")]
#[case(json!(["python", "-c", "engine = create_engine('mysql://u:hunter2@db/x')"]), "address")]
#[case(json!(["driver", "--conf", "spark.hadoop.fs.s3a.secret.key=abcdef", "app.py"]), "named")]
#[case(json!(["driver", "--conf", "spark.kubernetes.driver.secretKeyRef.PW=db:password", "app.py"]), "")]
#[case(json!(["dbt", "run", "--vars", "{\"start\": \"2026-01-01\", \"tokens\": 3}"]), "")]
#[case(json!(["airflow", "tasks", "run", "refresh_token", "rotate_password", "scheduled__2026-11-22T00:00:00+00:00"]), "")]
#[case(json!([7, null, "--password"]), "")]
fn arguments(#[case] list: Value, #[case] reason: &str) {
    let expected: Vec<String> = (!reason.is_empty()).then(|| format!("c:{reason}")).into_iter().collect();
    for field in ["args", "command"] {
        assert_eq!(reasons(&json!({"containers": [{"name": "c", field: list}]})), expected, "{field}");
    }
}

#[test]
fn references_are_fine() {
    let spec = json!({"containers": [{"name": "c",
        "envFrom": [{"secretRef": {"name": "db"}}],
        "env": [{"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}}, {"name": "TOKEN"}]}]});
    assert!(reasons(&spec).is_empty());
}

#[test]
fn no_finding_shows_a_value() {
    let spec = json!({"containers": [{"name": "c",
        "env": [
            {"name": "PASSWORD", "value": "hunter2"},
            {"name": "URL", "value": "https://me:hunter2@host/"},
            {"name": "hunter".to_owned() + &"x".repeat(300) + "_PASSWORD", "value": "hunter2"},
            {"name": "KEY", "value": "-----BEGIN RSA PRIVATE KEY-----\nhunter2"},
        ],
        "args": ["--token", "hunter2", "--api-key=hunter2", "mysql://u:hunter2@h/"]}]});
    let pod = PodSpec::new(&spec, "/spec").unwrap();
    let mut modes = Modes::all(Mode::Off);
    modes.set("hardcoded-credential", Mode::Warn).unwrap();
    let findings = check(&pod, &modes, &Options::default());
    assert_eq!(findings.len(), 7, "{findings:#?}");
    for finding in findings {
        assert!(!format!("{finding:?}").contains("hunter2"), "{finding:?}");
        assert!(spec.pointer(finding.path.strip_prefix("/spec").unwrap()).is_some(), "{finding:?}");
        assert!(finding.message.ends_with(": use a Secret"), "{}", finding.message);
        assert!(finding.message.chars().count() <= text::MESSAGE_CHARS, "{}", finding.message);
    }
}
