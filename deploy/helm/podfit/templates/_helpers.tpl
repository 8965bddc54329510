{{- define "podfit.name" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if eq .Release.Name (.Values.nameOverride | default "podfit") -}}
{{- .Release.Name -}}
{{- else -}}
{{- printf "%s-%s" (.Release.Name | trunc 30 | trimSuffix "-") (.Values.nameOverride | default "podfit" | trunc 17 | trimSuffix "-") -}}
{{- end -}}
{{- end -}}

{{- define "podfit.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (include "podfit.name" .) -}}
{{- end -}}

{{- define "podfit.image" -}}
{{- with .Values.image -}}
{{- with .registry }}{{ . }}/{{ end -}}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ end -}}
{{- end -}}
{{- end -}}

{{- define "podfit.tlsSecret" -}}
{{- if eq .Values.certificate.mode "secret" -}}
{{- required "certificate.mode is secret: give its name by certificate.existingSecret" .Values.certificate.existingSecret -}}
{{- else -}}
{{- include "podfit.name" . }}-webhook-tls
{{- end -}}
{{- end -}}

{{- define "podfit.selector" -}}
app.kubernetes.io/name: podfit
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "podfit.labels" -}}
{{- $own := include "podfit.selector" . | fromYaml -}}
{{- $_ := set $own "app.kubernetes.io/version" .Chart.AppVersion -}}
{{- $_ := set $own "app.kubernetes.io/managed-by" .Release.Service -}}
{{- $_ := set $own "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version) -}}
{{- toYaml (merge $own (omit .Values.commonLabels "app.kubernetes.io/component")) -}}
{{- end -}}

{{/* Labels of a pod: what Deployment and Services select by, and further ones that leave those alone. */}}
{{- define "podfit.podLabels" -}}
{{- $own := dict "app.kubernetes.io/component" .component -}}
{{- $own = merge $own (include "podfit.selector" .root | fromYaml) -}}
{{- toYaml (merge $own (.labels | default dict) .root.Values.commonLabels) -}}
{{- end -}}

{{/* Which namespaces are asked about: by the name label, which nobody can change. What a cluster lives on never is. */}}
{{- define "podfit.namespaceSelector" -}}
{{- $never := list "kube-system" "kube-node-lease" "kube-public" .Release.Namespace -}}
{{- with .Values.webhook.namespaceSelector.matchLabels }}
matchLabels: {{- toYaml . | nindent 2 }}
{{- end }}
matchExpressions:
  - key: kubernetes.io/metadata.name
    operator: NotIn
    values:
      {{- range concat $never .Values.namespaces.exclude | uniq | sortAlpha }}
      - {{ . }}
      {{- end }}
  {{- with .Values.namespaces.include }}
  - key: kubernetes.io/metadata.name
    operator: In
    values: {{ toYaml . | nindent 6 }}
  {{- end }}
  {{- with .Values.webhook.namespaceSelector.matchExpressions }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- define "podfit.clientConfig" -}}
service:
  name: {{ include "podfit.name" . }}-webhook
  namespace: {{ .Release.Namespace }}
  path: {{ .path }}
  port: 443
{{- if eq .Values.certificate.mode "secret" }}
caBundle: {{ required "certificate.mode is secret: give the CA (PEM) by certificate.caBundle" .Values.certificate.caBundle | b64enc }}
{{- end }}
{{- end -}}

{{/* OpenShift gives a namespace a range of ids, and refuses others. */}}
{{- define "podfit.podSecurity" -}}
{{- if .Capabilities.APIVersions.Has "security.openshift.io/v1" -}}
{{- toYaml (omit .Values.podSecurityContext "runAsUser" "runAsGroup" "fsGroup") -}}
{{- else -}}
{{- toYaml .Values.podSecurityContext -}}
{{- end -}}
{{- end -}}

{{- define "podfit.pullSecrets" -}}
{{- range .Values.imagePullSecrets }}
- name: {{ if kindIs "string" . }}{{ . }}{{ else }}{{ .name }}{{ end }}
{{- end }}
{{- end -}}

{{- define "podfit.historyEnv" -}}
- name: PODFIT_PROMETHEUS_URL
  value: {{ .Values.prometheus.url }}
{{- end -}}

{{- define "podfit.historyArguments" -}}
{{- if .Values.prometheus.tokenSecret }}
- --prometheus-token-file=/etc/podfit/prometheus/{{ .Values.prometheus.tokenKey }}
{{- end }}
{{- range .Values.prometheus.arguments }}
- {{ . | quote }}
{{- end }}
{{- with .Values.recommend.groupByLabels }}
- --group-by-labels={{ join "," . }}
{{- end }}
{{- end -}}

{{- define "podfit.extraMounts" -}}
{{- if .Values.prometheus.tokenSecret }}
- {name: prometheus, mountPath: /etc/podfit/prometheus, readOnly: true}
{{- end }}
{{- range $name, $_ := .Values.extraVolumes }}
- {name: {{ $name }}, mountPath: /etc/podfit/{{ $name }}, readOnly: true}
{{- end }}
{{- end -}}

{{- define "podfit.extraVolumes" -}}
{{- with .Values.prometheus.tokenSecret }}
- name: prometheus
  secret: {secretName: {{ . }}}
{{- end }}
{{- range $name, $source := .Values.extraVolumes }}
- name: {{ $name }}
  {{- toYaml $source | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Whether the report is made by a CronJob, or by the controller: its name, or nothing. */}}
{{- define "podfit.reportBy" -}}
{{- if and .Values.report.enabled .Values.prometheus.url -}}{{ .Values.report.by }}{{- end -}}
{{- end -}}

{{- define "podfit.reportArguments" -}}
{{- if .Values.report.destinations }}
- --deliver=/etc/podfit/report/delivery.yaml
{{- end }}
{{- end -}}

{{- define "podfit.reportMounts" -}}
{{- if .Values.report.destinations }}
- {name: report, mountPath: /etc/podfit/report, readOnly: true}
{{- end }}
{{- if .Values.report.secret }}
- {name: report-secrets, mountPath: /etc/podfit/report-secrets, readOnly: true}
{{- end }}
{{- end -}}

{{- define "podfit.reportVolumes" -}}
{{- if .Values.report.destinations }}
- name: report
  configMap: {name: {{ include "podfit.name" . }}-report}
{{- end }}
{{- with .Values.report.secret }}
- name: report-secrets
  secret: {secretName: {{ . }}}
{{- end }}
{{- end -}}

{{/* The port of a URL; its scheme's where it has none. */}}
{{- define "podfit.urlPort" -}}
{{- $url := urlParse . -}}
{{- $port := regexFind ":[0-9]+$" $url.host | trimPrefix ":" -}}
{{- $port | default (eq $url.scheme "https" | ternary "443" "80") -}}
{{- end -}}

{{/* The namespace of Prometheus where its URL is the name of a Service: NAME.NAMESPACE or NAME.NAMESPACE.svc…. */}}
{{- define "podfit.prometheusNamespace" -}}
{{- if .Values.prometheus.url -}}
{{- $host := (urlParse .Values.prometheus.url).host -}}
{{- $service := "^[a-z0-9-]+\\.([a-z0-9-]*[a-z-][a-z0-9-]*)(\\.svc(\\.[a-z0-9.-]*)?)?(:[0-9]+)?$" -}}
{{- if regexMatch $service $host -}}{{- regexReplaceAll $service $host "${1}" -}}{{- end -}}
{{- end -}}
{{- end -}}
