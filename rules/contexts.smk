# Needs: the training problems or those of the ladder, and what contexts tell of them: the base's own graded samples, or the sources.
# Makes: <results>/models/{model}/{prompts,plan}.parquet of the base under a context; the usual rules sample and grade it.


rule context_prompts:
    """Puts every problem into the wording of a context, and says which are skipped for want of a solution or of room."""
    input:
        problems=problems_in_context,
        shown=samples_shown,
        sources=sources_told_of,
        template=lambda wildcards: local(
            [context_asked(STUDY, wildcards.model).template]
            if context_asked(STUDY, wildcards.model).template
            else []
        ),
        tokenizer=TOKENIZER_FILES,
        examples=local(EXAMPLES),
        library=library("context_prompts.py"),
    output:
        "<results>/models/{model}/prompts.parquet",
    log:
        "<logs>/context_prompts/{model}.log",
    benchmark:
        "<benchmarks>/context_prompts/{model}.tsv"
    wildcard_constraints:
        model=one_of(IN_CONTEXT + TOLD_ON_LADDER),
    localrule: True
    conda:
        "../envs/sampling.yaml"
    threads: 1
    resources:
        mem_mb=larger(4000),
        runtime=later(30),
    params:
        asked=lambda wildcards: {
            "context": context_of(wildcards.model),
            "settings": context_asked(STUDY, wildcards.model).model_dump(),
            "problems": asked_of(STUDY, wildcards.model).train_samples,
            "prompt": STUDY.problems.prompt,
            "room": room_in_context(wildcards),
            "sources": list(told_sources(wildcards)),
            "trust_remote_code": STUDY.model.trust_remote_code,
            "chat": STUDY.model.chat,
            # A trained model may solve none of the ladder's problems, which is a result.
            **({"may_be_empty": True} if wildcards.model in LADDER else {}),
        },
        # Where the model lies is no reason to do it again; its tokenizer is an input.
        folder=lambda wildcards, threads: STUDY.model.path,
    script:
        "../workflow_scripts/context_prompts.py"


rule plan_in_context:
    """Says what to sample from the base under a context: the problems that it tells something of."""
    input:
        problems=problems_in_context,
        prompts="<results>/models/{model}/prompts.parquet",
        weights=BASE_FILES,
    output:
        "<results>/models/{model}/plan.parquet",
    log:
        "<logs>/plan_in_context/{model}.log",
    benchmark:
        "<benchmarks>/plan_in_context/{model}.tsv"
    wildcard_constraints:
        model=one_of(IN_CONTEXT),
    localrule: SMALL_MODEL
    conda:
        "../envs/sampling.yaml"
    threads: 1
    resources:
        mem_mb=larger(2000),
        runtime=later(20),
    params:
        asked=lambda wildcards: {
            "model_id": wildcards.model,
            "plan": asked_of(STUDY, wildcards.model).as_param(),
        },
        # Where the model lies is no reason to do it again; what it is is an input.
        folder=lambda wildcards, threads: STUDY.model.path,
    script:
        "../workflow_scripts/plan_in_context.py"
