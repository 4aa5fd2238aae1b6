"""What KubeRay's v1 API takes (KubeRay 1.5.1 and newer), as a JSON schema: its own fields, of which it knows no others.

Fields that Kubernetes defines (pod templates, metadata) are only asked to be objects here; they are checked against
Kubernetes' own schemas.
"""

_TEXT = {"type": "string"}
_TRUTH = {"type": "boolean"}
_COUNT = {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}
_TEXTS = {"type": "object", "additionalProperties": _TEXT}
_KUBERNETES = {"type": "object"}
_KUBERNETES_LIST = {"type": "array", "items": _KUBERNETES}


def _record(required=(), **properties):
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


_AUTOSCALER_OPTIONS = _record(
    resources=_KUBERNETES,
    image=_TEXT,
    imagePullPolicy=_TEXT,
    securityContext=_KUBERNETES,
    idleTimeoutSeconds=_COUNT,
    upscalingMode={"enum": ["Default", "Aggressive", "Conservative"]},
    version={"enum": ["v1", "v2"]},
    env=_KUBERNETES_LIST,
    envFrom=_KUBERNETES_LIST,
    volumeMounts=_KUBERNETES_LIST,
)

_HEAD_GROUP = _record(
    required=["template"],
    template=_KUBERNETES,
    headService=_KUBERNETES,
    enableIngress=_TRUTH,
    rayStartParams=_TEXTS,
    serviceType={"enum": ["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"]},
    resources=_TEXTS,
    labels=_TEXTS,
)

_WORKER_GROUP = _record(
    required=["groupName", "maxReplicas", "minReplicas", "template"],
    groupName=_TEXT,
    replicas=_COUNT,
    minReplicas=_COUNT,
    maxReplicas=_COUNT,
    numOfHosts=_COUNT,
    idleTimeoutSeconds=_COUNT,
    suspend=_TRUTH,
    rayStartParams=_TEXTS,
    template=_KUBERNETES,
    scaleStrategy=_record(workersToDelete={"type": "array", "items": _TEXT}),
    resources=_TEXTS,
    labels=_TEXTS,
)

_CLUSTER_SPEC = _record(
    required=["headGroupSpec"],
    rayVersion=_TEXT,
    enableInTreeAutoscaling=_TRUTH,
    authOptions=_record(mode={"enum": ["disabled", "token"]}),
    autoscalerOptions=_AUTOSCALER_OPTIONS,
    gcsFaultToleranceOptions=_KUBERNETES,
    headServiceAnnotations=_TEXTS,
    headGroupSpec=_HEAD_GROUP,
    workerGroupSpecs={"type": "array", "items": _WORKER_GROUP},
    suspend=_TRUTH,
    managedBy=_TEXT,
)

_JOB_SPEC = _record(
    entrypoint=_TEXT,
    runtimeEnvYAML=_TEXT,
    jobId=_TEXT,
    metadata=_TEXTS,
    submissionMode={"enum": ["K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"]},
    submitterPodTemplate=_KUBERNETES,
    submitterConfig=_record(backoffLimit=_COUNT),
    entrypointNumCpus={"type": "number"},
    entrypointNumGpus={"type": "number"},
    entrypointResources=_TEXT,
    backoffLimit=_COUNT,
    activeDeadlineSeconds=_COUNT,
    shutdownAfterJobFinishes=_TRUTH,
    ttlSecondsAfterFinished=_COUNT,
    deletionStrategy=_KUBERNETES,
    clusterSelector=_TEXTS,
    rayClusterSpec=_CLUSTER_SPEC,
    suspend=_TRUTH,
    managedBy=_TEXT,
)


def _document(kind, spec):
    return _record(
        required=["apiVersion", "kind", "metadata", "spec"],
        apiVersion={"const": "ray.io/v1"},
        kind={"const": kind},
        metadata=_KUBERNETES,
        spec=spec,
    )


RAY_CLUSTER = _document("RayCluster", _CLUSTER_SPEC)
RAY_JOB = _document("RayJob", _JOB_SPEC)
