# Needs: the training problems and their prompts; the base; for an arm that replays, the rollouts of another arm's run.
# Makes: <results>/arms/{arm}/questions.parquet
#        <results>/runs/{arm}/seed-{seed}/ as rules/training.smk, and in it {rollouts,updates}.parquet
#        Beside a run's undeclared work folder lies the journal of its rollouts, which outlives a change of settings.


def told_to(arm):
    """The context of an arm's teacher where it tells something that is known beforehand; nothing elsewhere."""
    context = teacher_of(STUDY, arm)
    known = context is not None and context.solution in ("answer", "dataset", "column")
    return context if known else None


def template_of_teacher(wildcards):
    """The Jinja file that a teacher's context takes for the model's chat template."""
    teacher = teacher_of(STUDY, wildcards.arm)
    return local([teacher.template]) if teacher and teacher.template else []


rule questions:
    """Says what an arm practises on, and what its teacher is told of it."""
    input:
        train="<results>/problems/train.parquet",
        prompts="<results>/problems/prompts.parquet",
        sources=lambda wildcards: (
            [
                source["path"] if "loader" in source else local(source["path"])
                for source in TRAINING_SOURCES.values()
            ]
            if told_to(wildcards.arm)
            else []
        ),
        template=template_of_teacher,
        tokenizer=TOKENIZER_FILES,
        library=library("questions.py"),
    output:
        "<results>/arms/{arm}/questions.parquet",
    log:
        "<logs>/questions/{arm}.log",
    benchmark:
        "<benchmarks>/questions/{arm}.tsv"
    wildcard_constraints:
        arm=one_of(PRACTISING),
    localrule: True
    conda:
        "../envs/sampling.yaml"
    threads: 1
    resources:
        mem_mb=larger(4000),
        runtime=later(30),
    params:
        asked=lambda wildcards: {
            "arm": wildcards.arm,
            "coverage": STUDY.practice_of(wildcards.arm).coverage,
            "room": {
                "context": STUDY.model.context,
                "max_tokens": STUDY.decodes[
                    STUDY.practice_of(wildcards.arm).decode
                ].max_tokens,
                "decode": STUDY.practice_of(wildcards.arm).decode,
            },
            "told": (
                {
                    "context": STUDY.arms[wildcards.arm].context,
                    # Of an answer's tokens those that the teacher reads.
                    "max_tokens": STUDY.practice_of(wildcards.arm).learnt(
                        STUDY.decodes[
                            STUDY.practice_of(wildcards.arm).decode
                        ].max_tokens
                    ),
                    "settings": told_to(wildcards.arm).model_dump(),
                    "sources": list(TRAINING_SOURCES),
                    "prompt": STUDY.problems.prompt,
                    "chat": STUDY.model.chat,
                    "trust_remote_code": STUDY.model.trust_remote_code,
                }
                if told_to(wildcards.arm)
                else None
            ),
        },
        # Where the model lies is no reason to do it again; its tokenizer is an input.
        folder=lambda wildcards, threads: STUDY.model.path,
    script:
        "../workflow_scripts/questions.py"


rule practice:
    """Trains the base on answers that it gives while it trains: the same command for one GPU or many."""
    input:
        questions="<results>/arms/{arm}/questions.parquet",
        replayed=lambda wildcards: [
            f"<results>/runs/{run}/rollouts.parquet"
            for run in [learns_of(STUDY, f"{wildcards.arm}/seed-{wildcards.seed}")]
            if run
        ],
        template=template_of_teacher,
        weights=BASE_FILES,
    output:
        manifest="<results>/runs/{arm}/seed-{seed}/manifest.json",
        log="<results>/runs/{arm}/seed-{seed}/log.parquet",
        noise="<results>/runs/{arm}/seed-{seed}/noise.parquet",
        weights="<results>/runs/{arm}/seed-{seed}/weights.parquet",
        histograms="<results>/runs/{arm}/seed-{seed}/histograms.parquet",
        coherence="<results>/runs/{arm}/seed-{seed}/coherence.parquet",
        rollouts="<results>/runs/{arm}/seed-{seed}/rollouts.parquet",
        updates="<results>/runs/{arm}/seed-{seed}/updates.parquet",
        checkpoints=[
            directory(f"<results>/runs/{{arm}}/seed-{{seed}}/{checkpoint}")
            for checkpoint in CHECKPOINTS
        ],
    log:
        "<logs>/practice/{arm}/seed-{seed}.log",
    benchmark:
        "<benchmarks>/practice/{arm}/seed-{seed}.tsv"
    wildcard_constraints:
        arm=one_of(PRACTISING),
    retries: RETRIES if STUDY.training.gpus else None
    conda:
        "../envs/practice.yaml"  # with the torch engine; vLLM beside the trainer is in containers/gpu.lock
    threads: STUDY.training.processes_per_node
    resources:
        **(SEVERAL_NODES if STUDY.training.nodes > 1 else {}),
        mem_mb=MEMORY.practice * STUDY.training.processes_per_node,  # twice the memory at every retry would be terabytes
        runtime=60 * JOB_HOURS,  # a retry goes on at the generation where the job before it stopped
        gpu=STUDY.training.gpus * STUDY.training.nodes,
    params:
        # What is tracked. The command is given all settings, of which some decide no weight.
        decides=lambda wildcards: to_json(
            deciding(settings_of_practice(STUDY, wildcards.arm, int(wildcards.seed)))
        ),
        # Params made with threads are not tracked.
        settings=lambda wildcards, threads: to_json(
            settings_of_practice(STUDY, wildcards.arm, int(wildcards.seed))
        ),
        folder=lambda wildcards, threads: STUDY.model.path,
        trackers=lambda wildcards, threads: STUDY.training.trackers,
        # More options of that kind go with these: the text of the command is tracked, and a new place in it would practise anew.
        kernels=lambda wildcards, threads: f"{SLOW_KERNELS} --study {STUDY.study}",
        work=lambda wildcards, threads: (
            f"{WORK}/runs/{wildcards.arm}/seed-{wildcards.seed}/work"
        ),
        on_every_node=on_every_node,
    shell:
        """
        {params.on_every_node} python workflow_scripts/practice.py \
            --model {params.folder:q} \
            --questions {input.questions:q} \
            --replay {input.replayed:q} \
            --settings {params.settings:q} \
            --trackers {params.trackers} {params.kernels} \
            --out "$(dirname {output.manifest:q})" \
            --work {params.work:q} 2> >(
                trap '' INT TERM
                tee {log:q} >&2
            )
        """
