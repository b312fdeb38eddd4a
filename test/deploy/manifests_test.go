// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

package deploy // import "github.com/slacklogs/otelcol-slacklogs/test/deploy"

import (
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

const folder = "../../deploy"

// manifests are what `kubectl apply -k deploy` sends.
type manifests struct {
	namespace corev1.Namespace
	config    corev1.ConfigMap
	service   corev1.Service
	set       appsv1.StatefulSet
}

// render does what kubectl does, and allows no field that the API doesn't know.
func render(t *testing.T) manifests {
	t.Helper()
	rendered, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), folder)
	require.NoError(t, err)
	var m manifests
	into := map[string]any{"Namespace": &m.namespace, "ConfigMap": &m.config, "Service": &m.service, "StatefulSet": &m.set}
	for _, resource := range rendered.Resources() {
		text, err := resource.AsYAML()
		require.NoError(t, err)
		typed, known := into[resource.GetKind()]
		require.True(t, known, "a second or an unknown %s", resource.GetKind())
		require.NoError(t, yaml.UnmarshalStrict(text, typed), "%s", text)
		delete(into, resource.GetKind())
	}
	require.Empty(t, into)
	return m
}

func (m manifests) container(t *testing.T) corev1.Container {
	t.Helper()
	require.Len(t, m.set.Spec.Template.Spec.Containers, 1)
	return m.set.Spec.Template.Spec.Containers[0]
}

func readSecret(t *testing.T) corev1.Secret {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, "kubernetes", "secret.yaml"))
	require.NoError(t, err)
	var secret corev1.Secret
	require.NoError(t, yaml.UnmarshalStrict(text, &secret))
	return secret
}

// Two collectors would deliver everything twice.
func TestOnePod(t *testing.T) {
	spec := render(t).set.Spec
	require.NotNil(t, spec.Replicas)
	assert.EqualValues(t, 1, *spec.Replicas)
	require.Len(t, spec.VolumeClaimTemplates, 1)
	assert.Equal(t, []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOncePod}, spec.VolumeClaimTemplates[0].Spec.AccessModes)
}

// Kubernetes' own rules for the namespace's level let the pod in.
func TestPodIsRestricted(t *testing.T) {
	m := render(t)
	level := m.namespace.Labels["pod-security.kubernetes.io/enforce"]
	require.Equal(t, string(api.LevelRestricted), level)
	rules, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	require.NoError(t, err)
	pod := m.set.Spec.Template
	results := rules.EvaluatePod(api.LevelVersion{Level: api.Level(level), Version: api.LatestVersion()}, &pod.ObjectMeta, &pod.Spec)
	require.NotEmpty(t, results)
	for _, result := range results {
		assert.True(t, result.Allowed, "%s: %s", result.ForbiddenReason, result.ForbiddenDetail)
	}
	assert.True(t, *m.container(t).SecurityContext.ReadOnlyRootFilesystem)
	assert.False(t, *pod.Spec.AutomountServiceAccountToken)
}

// Readiness asks the health check that tells component status, liveness the one that doesn't.
func TestProbesAskTheRightHealthCheck(t *testing.T) {
	m := render(t)
	container := m.container(t)
	ports := map[string]string{}
	for _, port := range container.Ports {
		ports[port.Name] = "0.0.0.0:" + strconv.Itoa(int(port.ContainerPort))
	}
	var config struct {
		Extensions map[string]struct {
			Endpoint        string         `json:"endpoint"`
			ComponentHealth map[string]any `json:"component_health"`
		} `json:"extensions"`
	}
	env := environment(container)
	require.NoError(t, yaml.Unmarshal([]byte(expand(m.config.Data["config.yaml"], env)), &config))
	byStatus, alive := config.Extensions["health_check"], config.Extensions["health_check/live"]
	assert.Equal(t, ports[container.ReadinessProbe.HTTPGet.Port.String()], byStatus.Endpoint)
	assert.NotEmpty(t, byStatus.ComponentHealth)
	assert.Equal(t, ports[container.LivenessProbe.HTTPGet.Port.String()], alive.Endpoint)
	assert.Empty(t, alive.ComponentHealth)

	require.Len(t, m.service.Spec.Ports, 1)
	assert.Equal(t, "0.0.0.0:8888", ports[m.service.Spec.Ports[0].TargetPort.String()])
	assert.Equal(t, m.service.Name, m.set.Spec.ServiceName)
	assert.Equal(t, m.set.Spec.Template.Labels, m.service.Spec.Selector)
	assert.Equal(t, m.set.Spec.Template.Labels, m.set.Spec.Selector.MatchLabels)
}

// Every volume is mounted where the collector looks for it.
func TestVolumes(t *testing.T) {
	m := render(t)
	container, env := m.container(t), environment(m.container(t))
	volumes := map[string]corev1.VolumeSource{}
	for _, volume := range m.set.Spec.Template.Spec.Volumes {
		volumes[volume.Name] = volume.VolumeSource
	}
	volumes[m.set.Spec.VolumeClaimTemplates[0].Name] = corev1.VolumeSource{}
	secret := readSecret(t)
	assert.Equal(t, m.namespace.Name, secret.Namespace)
	mounted := map[string]string{}
	for _, mount := range container.VolumeMounts {
		volume, known := volumes[mount.Name]
		require.True(t, known, mount.Name)
		assert.Empty(t, mount.SubPath, "changes don't arrive by a subPath")
		mounted[mount.MountPath] = mount.Name
		switch {
		case volume.ConfigMap != nil:
			assert.Equal(t, m.config.Name, volume.ConfigMap.Name)
			for name := range m.config.Data {
				assert.Contains(t, container.Args, "--config="+path.Join(mount.MountPath, name))
			}
		case volume.Secret != nil:
			assert.Equal(t, secret.Name, volume.Secret.SecretName)
			for name := range secret.StringData {
				assert.Equal(t, env["SLACK_TOKEN_FILE"], path.Join(mount.MountPath, name))
			}
		}
	}
	assert.Len(t, mounted, len(volumes))
	state := expand("${env:STATE_DIR:-/var/lib/otelcol-slacklogs}", env)
	assert.Contains(t, m.config.Data["config.yaml"], "directory: ${env:STATE_DIR:-"+state+"}")
	assert.Equal(t, "state", mounted[state])
}

// A memory_limiter above the container's limit would never refuse.
func TestMemoryLimit(t *testing.T) {
	m := render(t)
	var config struct {
		Processors map[string]struct {
			Limit int64 `json:"limit_mib"`
		} `json:"processors"`
	}
	require.NoError(t, yaml.Unmarshal([]byte(m.config.Data["config.yaml"]), &config))
	refuses := config.Processors["memory_limiter"].Limit << 20
	require.Positive(t, refuses)
	limits := m.container(t).Resources.Limits
	assert.Less(t, refuses*5/4, limits.Memory().Value())
}

func environment(container corev1.Container) map[string]string {
	env := map[string]string{}
	for _, variable := range container.Env {
		env[variable.Name] = variable.Value
	}
	return env
}

// expand puts in the variables, as the collector does.
func expand(text string, env map[string]string) string {
	return os.Expand(text, func(name string) string {
		name, fallback, _ := strings.Cut(strings.TrimPrefix(name, "env:"), ":-")
		if value, set := env[name]; set {
			return value
		}
		return fallback
	})
}
