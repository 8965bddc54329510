//! Spark applications of the kubeflow and the Apache operator as their driver's and their executors' pods.
//! Must not know rules. Sources: kubeflow/spark-operator api/v1beta2, apache/spark-kubernetes-operator, and Spark's own
//! configuration for Kubernetes, whose keys both take.

use serde_json::{Value, json};

use super::shape::{PodOf, Shape, escape};

/// Names of Spark's containers where a template gives none.
const ROLES: [(&str, &str); 2] = [("driver", "spark-kubernetes-driver"), ("executor", "spark-kubernetes-executor")];

/// `sparkoperator.k8s.io`; the application stands at `path` of the object.
pub(super) fn kubeflow(object: &Value, base: &str, path: &str) -> Vec<PodOf> {
    let app = App::new(object, base, path);
    ROLES
        .iter()
        .map(|&(role, container)| {
            let part = App::new(object, base, &format!("{path}/{role}"));
            let mut shape = Shape::new(&part.from(""));
            part.put(&mut shape, "/spec", "/template/spec");
            let main = shape.container(container, true, &part.from(""));
            app.image(&mut shape, &main, role, part.get("/image").map(|image| (image, part.from("/image"))));
            for (index, volume) in app.get("/volumes").and_then(Value::as_array).into_iter().flatten().enumerate() {
                shape.push("/spec/volumes", volume.clone(), &app.from(&format!("/volumes/{index}")));
            }
            for (at, field) in [("env", "env"), ("envFrom", "envFrom"), ("volumeMounts", "volumeMounts")] {
                shape.append(&format!("{main}/{at}"), part.get(&format!("/{field}")), &part.from(&format!("/{field}")));
            }
            for (name, value) in fields(part.get("/envVars")) {
                let from = part.from(&format!("/envVars/{}", escape(name)));
                shape.push(&format!("{main}/env"), json!({"name": name, "value": value}), &from);
            }
            for (at, field) in [("/spec/containers", "/sidecars"), ("/spec/initContainers", "/initContainers")] {
                shape.append(at, part.get(field), &part.from(field));
            }
            part.put(&mut shape, "/spec/securityContext", "/podSecurityContext");
            part.put(&mut shape, &format!("{main}/securityContext"), "/securityContext");
            app.common(&mut shape, &main, role);
            // An executor without an account of its own runs as the driver's.
            let driver = App::new(object, base, &format!("{path}/driver"));
            driver.put(&mut shape, "/spec/serviceAccountName", "/serviceAccount");
            part.put(&mut shape, "/spec/serviceAccountName", "/serviceAccount");
            if role == "driver" {
                app.arguments(&mut shape, &main, "/arguments");
                app.settings(&mut shape, &main, "/hadoopConf");
            }
            shape.done(object, role)
        })
        .collect()
}

/// `spark.apache.org`.
pub(super) fn apache(object: &Value, base: &str) -> Vec<PodOf> {
    let app = App::new(object, base, "/spec");
    ROLES
        .iter()
        .map(|&(role, container)| {
            let template = format!("/{role}Spec/podTemplateSpec/spec");
            let mut shape = Shape::new(&app.from(""));
            app.put(&mut shape, "/spec", &template);
            let main = shape.container(container, true, &app.from(""));
            app.image(&mut shape, &main, role, None);
            app.common(&mut shape, &main, role);
            if role == "driver" {
                app.arguments(&mut shape, &main, "/driverArgs");
            }
            shape.done(object, role)
        })
        .collect()
}

/// A part of the object, and where it stands.
struct App<'a> {
    json: Option<&'a Value>,
    origin: String,
}

impl<'a> App<'a> {
    fn new(object: &'a Value, base: &str, path: &str) -> Self {
        Self { json: object.pointer(path), origin: format!("{base}{path}") }
    }

    fn get(&self, path: &str) -> Option<&'a Value> {
        self.json?.pointer(path).filter(|value| !value.is_null())
    }

    fn from(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    fn put(&self, shape: &mut Shape, at: &str, path: &str) {
        shape.put(at, self.get(path), &self.from(path));
    }

    /// A property of Spark's configuration, and where it stands.
    fn conf(&self, key: &str) -> Option<(&'a Value, String)> {
        let path = format!("/sparkConf/{}", escape(key));
        Some((self.get(&path)?, self.from(&path)))
    }

    /// The image: the role's own, then the role's property, then the application's, then the property of both. Spark
    /// puts it over a template's.
    fn image(&self, shape: &mut Shape, main: &str, role: &str, own: Option<(&Value, String)>) {
        let found = own
            .or_else(|| self.conf(&format!("spark.kubernetes.{role}.container.image")))
            .or_else(|| Some((self.get("/image")?, self.from("/image"))))
            .or_else(|| self.conf("spark.kubernetes.container.image"));
        if let Some((image, from)) = found {
            shape.put(&format!("{main}/image"), Some(image), &from);
        }
    }

    /// What follows from Spark's configuration for both operators.
    fn common(&self, shape: &mut Shape, main: &str, role: &str) {
        // Spark always gives its container a cpu request, and a memory request and limit from heap and overhead.
        let memory = json!("spark");
        for list in ["requests", "limits"] {
            shape.put(&format!("{main}/resources/{list}/memory"), Some(&memory), &self.from(""));
        }
        shape.put(&format!("{main}/resources/requests/cpu"), Some(&json!("spark")), &self.from(""));
        let accounts = [
            "spark.kubernetes.authenticate.serviceAccountName",
            "spark.kubernetes.authenticate.driver.serviceAccountName",
            "spark.kubernetes.authenticate.executor.serviceAccountName",
        ];
        for key in accounts.iter().take(if role == "driver" { 2 } else { 3 }) {
            if let Some((name, from)) = self.conf(key) {
                shape.put("/spec/serviceAccountName", Some(name), &from);
            }
        }
        let environment = if role == "driver" { "spark.kubernetes.driverEnv." } else { "spark.executorEnv." };
        let volumes = format!("spark.kubernetes.{role}.volumes.hostPath.");
        for (key, value) in fields(self.get("/sparkConf")) {
            let from = self.from(&format!("/sparkConf/{}", escape(key)));
            if let Some(name) = key.strip_prefix(environment) {
                shape.push(&format!("{main}/env"), json!({"name": name, "value": value}), &from);
            } else if let Some(name) = key.strip_prefix(&volumes).and_then(|rest| rest.strip_suffix(".mount.path")) {
                let of_volume = |end: &str| self.conf(&format!("{volumes}{name}.{end}")).map(|(value, _)| value);
                let read_only = of_volume("mount.readOnly").is_some_and(|v| v == "true" || v == &json!(true));
                let volume = json!({"name": name, "hostPath": {"path": of_volume("options.path")}});
                shape.push("/spec/volumes", volume, &from);
                let mount = json!({"name": name, "mountPath": value, "readOnly": read_only});
                shape.push(&format!("{main}/volumeMounts"), mount, &from);
            } else if key == &format!("spark.kubernetes.{role}.podTemplateFile") {
                shape.note("the pod template file of sparkConf is not judged: it is not part of the object");
            }
        }
        if role == "driver" {
            self.settings(shape, main, "/sparkConf");
        }
    }

    fn arguments(&self, shape: &mut Shape, main: &str, path: &str) {
        shape.append(&format!("{main}/args"), self.get(path), &self.from(path));
    }

    /// Properties as the driver gets them, as arguments; their names are looked at there.
    fn settings(&self, shape: &mut Shape, main: &str, path: &str) {
        for (key, value) in fields(self.get(path)) {
            let is_environment = key.starts_with("spark.kubernetes.driverEnv.");
            if let Some(value) = value.as_str().filter(|_| !is_environment) {
                let from = self.from(&format!("{path}/{}", escape(key)));
                shape.push(&format!("{main}/args"), json!(format!("{key}={value}")), &from);
            }
        }
    }
}

fn fields(of: Option<&Value>) -> impl Iterator<Item = (&String, &Value)> {
    of.and_then(Value::as_object).into_iter().flatten()
}
