"""What RESULTS.md says first of each record in results/, and how it lays out the record's other values.

Keys are those of a record's `values`, and of its `table` as `<measure> <row>` where each row has a name of its own.
A key that a record lacks is left out.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Grid:
    """A table of a record's values.

    Attributes:
        corner: what the rows are.
        columns: {title: key}; `{}` in a key stands for the row, whose names are those that any column's keys have.
        names: {row: how it is called}, where its key does not say it.
        folded: a title, if the table is to be folded away under it.
    """

    corner: str
    columns: dict
    names: dict = dataclasses.field(default_factory=dict)
    folded: str = ""


@dataclasses.dataclass(frozen=True)
class Headline:
    """One record's line and the tables below it.

    Attributes:
        title: of the line and of the section it links to.
        measure: of the headline values: term, unit, split, and whether higher or lower is better.
        ours: {label: key, or keys with slashes between their values}; a key with `*` is the best of all that match, and the
            label's `*` is what it matches.
        beside: the same, of the baselines.
        best: max or min, for keys with `*`.
        grids: of the further values; what is in none is listed by its key.
        labels: {key: how a value is called that is in no grid}.
        targets: {a mark of the record: key of the values that are to reach it, with `*`}, `<=` before it where at most.
    """

    title: str
    measure: str
    ours: dict
    beside: dict = dataclasses.field(default_factory=dict)
    best: object = max
    grids: tuple = ()
    labels: dict = dataclasses.field(default_factory=dict)
    targets: dict = dataclasses.field(default_factory=dict)


VARIANTS = {"fit": "tfgen, `fit`", "fit_16": "tfgen, `fit` with `steps_per_execution=16`", "bare": "bare TensorFlow loop",
            "example": "step of Keras' public example", "torch": "PyTorch, default layout",
            "torch_channels_last": "PyTorch, channels_last", "ours": "tfgen, `penalties.Contractive`",
            "naive": "`batch_jacobian`", "transposed": "transposed convolution, 4x4",
            "depth_3x3": "the same as a 3x3 convolution and `depth_to_space`",
            "depth_2x2": "2x2 convolution and `depth_to_space`", "ending": "`tfgen.layers.LeakyReLU`",
            "keras_rectifier": "`keras.layers.LeakyReLU`", "torch_fused": "PyTorch, channels_last, fused Adam",
            "torch_compiled": "PyTorch, `torch.compile`", "torch_autocast": "PyTorch, autocast",
            "torch_autocast_compiled": "PyTorch, autocast, `torch.compile`", "jax": "JAX, `jit`",
            "matrix_product": "as many operations, in matrix products",
            "wide_convolution": "as many operations, in a convolution", "normflows": "`normflows`",
            "normflows_channels_last": "`normflows`, channels_last", "incremental": "incremental",
            "naive_sampler": "naive, a pass of the network per pixel", "sample": "tfgen, `sample`",
            "diffusers": "`diffusers`", "diffusers_channels_last": "`diffusers`, channels_last"}
PEERS = ("torch", "torch_channels_last", "torch_fused", "torch_compiled", "jax", "normflows", "normflows_channels_last",
         "diffusers", "diffusers_channels_last")
SERVED = {"rest_sample": "REST, JSON, 32 clients of 1: `sample`",
          "rest_reconstruct": "REST, JSON, 32 clients of 1: `reconstruct`",
          "rest_npz_reconstruct": "REST, .npz, 32 clients of 1: `reconstruct`",
          "grpc_sample": "gRPC, 8 clients of 32: `sample`", "grpc_reconstruct": "gRPC, 8 clients of 32: `reconstruct`"}
SERVED |= {f"{name}_workers": f"{title}, a worker per core" for name, title in SERVED.items()}
FASHION = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
SIMILARITY = {"PSNR, dB": "psnr_db {}", "SSIM": "ssim {}", "L1, grey levels in [0, 1]": "l1 {}"}
INDEPENDENT = ("per-pixel categorical", "full-covariance Gaussian")
TABLES, FAULTS = ("breast cancer", "wine", "series"), ("spikes", "level", "frequency", "lag")
TEXTURES, COUNTS = ("brick", "grass", "gravel"), (100, 500, 1000)


def speed(title, cores="one core"):
    """The headline of a benchmark of training."""
    return Headline(
        f"Training speed: {title}, {cores}", f"training images per s of wall time, {cores}; higher is better",
        {"`fit`": "fit_images_per_s"},
        {VARIANTS[name]: f"{name}_images_per_s" for name in ("bare", "example", *PEERS)},
        grids=(Grid("variant", {"images per s": "{}_images_per_s", "`fit` / variant": "fit_over_{}",
                                "`fit` with 16 steps per execution / variant": "fit_16_over_{}",
                                "GFLOP per s": "{}_gflop_per_s"}, VARIANTS),),
        targets={name: f"fit*_over_{name}" for name in ("bare", "example", *PEERS)})


def precision(title):
    """The headline of a benchmark of training in bfloat16."""
    return Headline(
        f"Training speed in bfloat16: {title}", "training images per s of wall time, one thread, `fit` with 16 steps per "
        "execution; higher is better", {"bfloat16": "bfloat16_images_per_s"}, {"float32": "float32_images_per_s"},
        grids=(Grid("precision", {"images per s": "{}_images_per_s", "bfloat16 / precision": "bfloat16_over_{}"},
                    VARIANTS),),
        targets={name: f"bfloat16_over_{name}" for name in ("float32", "torch_autocast", "torch_autocast_compiled")})


def sampling(title):
    """The headline of a benchmark of sampling pixel by pixel."""
    return Headline(
        f"Sampling speed: {title}, 28x28, 16 levels", "images drawn per s of wall time, 16 per batch, one thread; higher is "
        "better", {"": "incremental_images_per_s"}, {VARIANTS["naive_sampler"]: "naive_sampler_images_per_s"},
        grids=(Grid("sampler", {"images per s": "{}_images_per_s", "incremental / sampler": "incremental_over_{}"},
                    VARIANTS),),
        targets={"naive_sampler": "incremental_over_naive_sampler"})


def penalty(title):
    """The headline of a benchmark of the contractive penalty."""
    return Headline(
        f"Contractive penalty speed: {title} encoder, 64 latents",
        "forward and backward passes (a batch each) per s of wall time, one thread; higher is better",
        {"": "ours_steps_per_s"},
        {VARIANTS["naive"]: "naive_steps_per_s"},
        grids=(Grid("variant", {"passes per s": "{}_steps_per_s", "tfgen / variant": "ours_over_{}"}, VARIANTS),),
        targets={"naive": "ours_over_naive"})


def densities(title, measure, key, ours, baselines, targets):
    """The headline of explicit densities of one kind of images; `key`: of a value, with `{}` for the model."""
    return Headline(
        title, f"negative log-likelihood, {measure}, test split; lower is better",
        {name: key.format(name) for name in ours}, {name: key.format(name) for name in baselines},
        grids=(Grid("model", {f"test, {measure}": key, f"validation, {measure}": "validation {}",
                              "parameters": "parameters {}", "steps": "steps {}", "CPU minutes": "cpu_minutes {}"}),),
        targets={name: "<=" + key.format(name) for name in targets})


def each(keys, names):
    """The keys of a headline value of several parts."""
    return tuple(keys.format(name) for name in names)


def few_images(recipe):
    """The headline of a GAN of 500 images with and without augmentation of what its critic sees."""
    return Headline(
        f"GANs of 500 images, Fashion-MNIST, {recipe}, 6 CPU minutes each",
        "Fréchet distance over a classifier's features, test split; lower is better",
        {name: f"frechet_distance {name}" for name in ("diffaugment", "ada")},
        {"without augmentation": "frechet_distance none"},
        grids=(Grid("augmentation", {
            "Fréchet distance": "frechet_distance {}", "precision": "precision {}", "recall": "recall {}",
            "coverage": "coverage {}", "best step": "best_step {}"}),),
        labels={f"share of the distance {name}": f"distance with {name} over that without; 0.8 was aimed at"
                for name in ("diffaugment", "ada")})


SPEEDS = {
    "bench-vae": "VAE, 28x28x1",
    "bench-denoising": "denoising autoencoder, 28x28x1",
    "bench-dcgan": "DCGAN, 28x28x1",
    "bench-wgan-gp": "WGAN-GP, 28x28x1",
    "bench-pix2pix-32": "pix2pix, 32x32x3",
    "bench-pix2pix-64": "pix2pix, 64x64x3",
    "bench-cyclegan-32": "CycleGAN, 32x32x3",
    "bench-cyclegan-64": "CycleGAN, 64x64x3",
    "bench-realnvp": "RealNVP as `normflows` has it, 28x28x1",
    "bench-gated-pixelcnn": "gated PixelCNN 7x64, 28x28x1, 16 levels",
    "bench-vqvae": "VQ-VAE 2x64, 256 codes of 64, 28x28x1",
    "bench-edm": "EDM, U-Net of 32 to 64 channels, 28x28x1"}
KINDS_OF_OPERATIONS = ("convolutions", "matrix products", "normalisation", "random numbers", "slices, padding, layout",
                       "sums and means", "variables", "element by element")
HEADLINES = {
    "vae": Headline(
        "VAE, Fashion-MNIST", "negative log-likelihood, bits per dimension (importance-weighted bound, 100 samples per test "
        "image); lower is better", {"": "bits_per_dim"},
        labels={"elbo": "ELBO, nats per image", "reconstruction": "reconstruction term (negative log-likelihood), nats per "
                "image", "kl": "KL term, nats per image", "log_prob_k100": "importance-weighted bound on log p(x), 100 "
                "samples, nats per image", "bits_per_dim": "the same, negative, bits per dimension",
                "active_units": "active latent units (of 16)"}),
    "kl_weight_sweep": Headline(
        "KL weight of a VAE with two latents, Fashion-MNIST",
        "bound (negative cross-entropy minus KL), nats per test image; higher is better",
        {"KL weight chosen on validation": "test_bound_of_best", "that weight": "best_kl_weight_on_validation"},
        {"KL weight 1, the VAE": "test bound 1", "KL weight 0, no KL term": "test bound 0"},
        grids=(Grid("KL weight in training", {
            "bound, validation, nats per image": "validation_bound_kl_weight_{}", "bound, test": "test bound {}",
            "cross-entropy, validation": "validation reconstruction {}", "KL, validation": "validation kl {}"}),),
        labels={"best_kl_weight_on_validation": "KL weight of the best validation bound",
                "test_bound_of_best": "test bound with that weight, nats per image"}),
    "search_vae": Headline(
        "Hyperband search of a VAE, digits",
        "bound (negative cross-entropy minus KL), nats per test image; higher is better",
        {"12 trials of Hyperband": "test_bound_found"}, {"the recipe's defaults": "test_bound_default"},
        grids=(Grid("hyperparameters", {"bound, validation, nats per image": "validation_bound_{}",
                                        "bound, test": "test_bound_{}"}),),
        labels={"validation_gain": "gain on validation, nats per image", "test_gain": "gain on test",
                "least_validation_gain": "least gain of a seed, validation", "least_test_gain": "least gain of a seed, test",
                "cost_ratio": "CPU time of a search of three trials over that of its trainings, the best run's included",
                "cost_ratio_wall": "the same by wall time"}),
    "explicit_densities_digits_16": densities(
        "Explicit densities: digits, 16 grey levels", "bits per dimension", "bits_per_dim {}", ("gated_pixelcnn", "glow"),
        INDEPENDENT, ("gated_pixelcnn", "glow")),
    "explicit_densities_fashion_8bit": densities(
        "Explicit densities: Fashion-MNIST, 256 grey levels", "bits per dimension", "bits_per_dim {}",
        ("pixelcnnpp", "realnvp", "glow"), INDEPENDENT, ("pixelcnnpp", "realnvp", "glow")),
    "explicit_densities_fashion_8bit_hour": densities(
        "Explicit densities: Fashion-MNIST, 256 grey levels, one hour", "bits per dimension", "bits_per_dim {}", ("glow",),
        INDEPENDENT, ()),
    "explicit_densities_fashion_binarised": densities(
        "Explicit densities: Fashion-MNIST, dynamically binarised",
        "nats per image (a VAE's bound: importance-weighted, 500 samples)", "nats {}", ("fvbn", "made", "pixelcnn"),
        ("vae", "iwae", "per-pixel categorical"), ()),
    "hierarchy_of_latents": Headline(
        "Hierarchical VAE, Fashion-MNIST, 256 grey levels", "negative log-likelihood, bits per dimension "
        "(importance-weighted bound, 10 samples per test image), the same budget; lower is better",
        {"hierarchical_vae": "bits_per_dim hierarchical_vae"}, {"vae": "bits_per_dim vae"},
        grids=(Grid("model", {"test, bits per dimension": "bits_per_dim {}", "validation": "validation {}",
                              "ELBO, nats per image": "elbo {}", "reconstruction term": "reconstruction {}",
                              "KL term": "kl {}", "parameters": "parameters {}", "latents": "latents {}",
                              "steps": "steps {}", "CPU minutes": "cpu_minutes {}"}),
               Grid("layer of latents, top first", {"KL, nats per test image": "kl_{}"})),
        labels={"bits_per_dim gain": "bits per dimension below the plain VAE's",
                "least kl of a layer": "least KL of a layer, nats per test image"},
        targets={"bits per dimension below the plain VAE's": "bits_per_dim gain",
                 "least KL of a layer, nats per image": "least kl of a layer"}),
    "fit_an_image": Headline(
        "A photograph as a network: SIREN and ReLU, camera, 128x128",
        "PSNR of the fitted image, dB; higher is better", {"SIREN": "psnr_db siren"},
        {"ReLU network of the same size": "psnr_db relu", "SIREN from gradients alone": "psnr_db siren_poisson"},
        grids=(Grid("network", {"PSNR, dB": "psnr_db {}", "cosine similarity of its gradients with the image's":
                                "gradient_agreement {}"},
                    {"siren": "SIREN", "relu": "ReLU", "siren_poisson": "SIREN, from gradients alone"}),
               Grid("encoding of coordinates, astronaut, 256x256, a quarter of the pixels to train on", {
                   "PSNR on test pixels, dB": "held_out_psnr_db {}", "on validation pixels": "validation_psnr_db {}",
                   "on training pixels": "seen_psnr_db {}"}, {"gaussian": "Gaussian"}),
               Grid("training", {"parameters": "parameters {}", "steps": "steps {}", "CPU minutes": "cpu_minutes {}"})),
        labels={"gain over the ReLU network": "PSNR of the SIREN above the ReLU network's, dB",
                "least gain of an encoding": "least gain along none, basic, positional, Gaussian, dB"},
        targets={"PSNR of the SIREN, dB": "psnr_db siren",
                 "PSNR of the SIREN above the ReLU network's, dB": "gain over the ReLU network",
                 "least gain along none, basic, positional, Gaussian, dB": "least gain of an encoding"}),
    "turn_a_scene": Headline(
        "NeRF of a scene, 64x64", "PSNR of 10 held-out views, mean, dB; higher is better", {"nerf": "psnr_db nerf"},
        {"all background": "psnr_db background"},
        grids=(Grid("views", {"PSNR, dB": "psnr_db {}", "SSIM": "ssim {}"}, {"background": "all background"}),),
        targets={"PSNR of test views, dB": "psnr_db nerf"}),
    "two_d_densities": Headline(
        "Flows of points in the plane", "KL divergence of the learned density from the true one, nats, 50,000 new points; "
        "lower is better", {name: f"divergence {name}" for name in ("moons", "rings", "checkerboard")},
        grids=(Grid("problem", {"entropy of the truth, nats": "entropy {}", "cross-entropy of the flow": "cross_entropy {}",
                                "KL divergence": "divergence {}"}),)),
    "likelihood_is_not_typicality": Headline(
        "Likelihood is not typicality: a Glow trained on Fashion-MNIST",
        "AUROC of -log p for telling other images from its own test images; under 0.5: they are likelier than its own",
        {name: f"auroc {name}" for name in ("digits", "half as bright")},
        {name: f"auroc {name}" for name in ("inverted", "uniform noise")},
        grids=(Grid("images", {"bits per dimension": "bits_per_dim {}", "AUROC": "auroc {}"}),)),
    "denoising": Headline(
        "Denoising autoencoder, Fashion-MNIST, Gaussian noise of sigma 0.3", "PSNR, dB, mean over test images; higher is "
        "better", {"": "psnr_denoised_db"},
        {"Gaussian blur, width chosen on validation": "psnr_gaussian_blur_db", "noisy input": "psnr_noisy_db"},
        labels={"psnr_noisy_db": "PSNR of the noisy images, dB", "psnr_gaussian_blur_db": "PSNR after a Gaussian blur, dB",
                "psnr_denoised_db": "PSNR after denoising, dB", "mse": "mean squared error per pixel after denoising"}),
    "few_images": few_images("dcgan"),
    "few_images_gan": few_images("gan"),
    "few_labels": Headline(
        "Pre-training for few labels, Fashion-MNIST",
        "test accuracy (0 to 1) with 100 / 500 / 1000 labels; higher is better",
        {"pre-trained as a VAE": each("pre-trained, {} labels", COUNTS),
         "gain ± standard error": each("gain, {} labels", COUNTS)},
        {"from scratch": each("from scratch, {} labels", COUNTS)},
        grids=(Grid("labels", {"from scratch": "from scratch, {} labels", "pre-trained": "pre-trained, {} labels",
                               "gain, mean of pairs ± standard error": "gain, {} labels"}),)),
    "gan_zoo": Headline(
        "GAN recipes, Fashion-MNIST", "Fréchet distance over a classifier's features, test split; lower is better",
        {"best recipe, *": "frechet_distance *"}, {"gan (Goodfellow et al., 2014)": "frechet_distance gan"}, best=min,
        grids=(Grid("recipe", {
            "Fréchet distance": "frechet_distance {}", "kernel distance ± its error": "kernel_distance {}",
            "precision": "precision {}", "recall": "recall {}", "density": "density {}", "coverage": "coverage {}",
            "classifier score": "classifier_score {}", "share of labels right": "label_agreement {}", "seeds": "seeds {}",
            "steps": "steps {}", "CPU minutes": "cpu_minutes {}", "steps per CPU second": "steps_per_cpu_s {}",
            "common steps per CPU second": "pace {}",
            "peak memory, MiB": "peak_memory_mib {}", "parameters": "parameters {}"}),),
        labels={"floor": "distance of as many training images"}
        | {f"dcgan like {name}": f"distance of dcgan after about as many steps as {name} has"
           for name in ("sagan", "stylegan")}
        | {f"margin {name}": f"distance of dcgan less that of {name}"
           for name in ("biggan", "sagan", "sngan", "stylegan", "wgan_gp")},
        targets={"margin": "margin *", "labels": "label_agreement *gan"}),
    "dcgan_to_sngan": Headline(
        "From dcgan to sngan, Fashion-MNIST",
        "Fréchet distance over a classifier's features, 5,000 samples, validation split; lower is better",
        {"decaying rates: sngan": "distance decaying rates: sngan"}, {"dcgan": "distance dcgan"},
        grids=(Grid("one change after another", {"Fréchet distance": "distance {}"}),)),
    "images_from_codes": Headline(
        "Images from codes, Fashion-MNIST", "Fréchet distance over a classifier's features, test split; lower is better",
        {name: f"frechet_distance {name}" for name in ("vqvae", "vqgan")},
        {name: f"frechet_distance {name}" for name in ("vae", "dcgan")},
        grids=(Grid("recipe", {
            "Fréchet distance": "frechet_distance {}", "that of reconstructions": "reconstruction_distance {}",
            "squared error per value": "squared_error {}", "perplexity of the codes": "perplexity {}",
            "precision": "precision {}", "recall": "recall {}", "coverage": "coverage {}", "parameters": "parameters {}",
            "steps": "steps {}", "CPU minutes": "cpu_minutes {}"}),),
        labels={f"margin {name}": f"distance of the better of vae and dcgan less that of {name}"
                for name in ("vqvae", "vqgan")},
        targets={"vqvae squared error": "<=squared_error vqvae", "vqvae perplexity": "perplexity vqvae",
                 "margin vqvae": "margin vqvae", "margin vqgan": "margin vqgan"}),
    "diffusion_steps": Headline(
        "Samplers of a diffusion model, Fashion-MNIST",
        "Fréchet distance over a classifier, 10,000 samples against test images; lower is better",
        {"edm": "frechet_distance edm"}, {},
        grids=(Grid("weight over the early state, 2,000 validation images, 10 steps of dpm",
                    {"Fréchet distance": "frechet_distance guidance {}"}),),
        labels={"reference": "distance after 1,000 steps, validation images",
                "best of 20 calls": "least distance after at most 20 network calls, validation images",
                "best over reference": "the latter over the former", "least calls": "its network calls",
                "kernel_distance edm": "kernel distance, test images"},
        targets={"frechet_distance edm": "<=frechet_distance edm", "best over reference": "<=best over reference"}),
    "guide_by_labels": Headline(
        "Diffusion models of labels, Fashion-MNIST",
        "share of 1,000 samples that a classifier takes for the class asked for; higher is better",
        {"conditional_diffusion": "class_agreement"}, {"the classifier, of test images": "classifier_accuracy"},
        grids=(Grid("class asked for", {"share of its samples": "class_agreement {}"}),),
        labels={"frechet_distance": "Fréchet distance, validation images"},
        targets={"class_agreement": "class_agreement"}),
    "paint_with_diffusion": Headline(
        "Lower halves filled in by a diffusion model, Fashion-MNIST",
        "share of 500 completed test images that a classifier takes for the image's own class; higher is better",
        {"edm": "class_agreement completed"},
        {"upper halves alone": "class_agreement upper halves", "test images": "class_agreement test images"}),
    "captions": Headline(
        "Images from captions, DALL-E, Fashion-MNIST",
        "share of 1,080 images that a classifier takes for the class asked for / rank correlation of the shade "
        "asked for with the brightness of the object; higher is better",
        {"dalle": ("class_agreement", "shade_correlation")}, {"the classifier, of test images": "classifier_accuracy"},
        grids=(Grid("class asked for", {"share of its images": "class_agreement {}"}),
               Grid("shade asked for", {"mean brightness of the object, 0 to 1": "brightness {}"})),
        labels={"frechet_distance": "Fréchet distance with captions of validation images, test split",
                "class_agreement": "share of images of the class asked for",
                "shade_correlation": "rank correlation of shade asked for and brightness",
                "classifier_accuracy": "accuracy of the classifier, test images"},
        targets={"class_agreement": "class_agreement", "shade_correlation": "shade_correlation"}),
    "gan_failure_modes": Headline(
        "GAN failure modes, grid of 25 and ring of 8 Gaussians", "share of samples within 3 sigma of a mode / modes found; "
        "higher is better",
        {"grid, WGAN-GP": ("wgan_gp_high_quality", "wgan_gp_modes"), "grid, SN-GAN": ("sngan_high_quality", "sngan_modes"),
         "ring, WGAN-GP": ("ring_wgan_gp_high_quality", "ring_wgan_gp_modes")},
        {"grid, plain GAN": ("gan_high_quality", "gan_modes"),
         "ring, plain GAN with WGAN-GP's networks": ("ring_gan_high_quality", "ring_gan_modes"),
         "ring, plain GAN with small networks": ("ring_collapsing_gan_high_quality", "ring_collapsing_gan_modes")},
        grids=(Grid("mixture and system", {"modes found": "{}_modes", "share within 3 sigma": "{}_high_quality"}, {
            "gan": "grid, plain GAN", "wgan_gp": "grid, WGAN-GP", "sngan": "grid, SN-GAN", "ring_wgan_gp": "ring, WGAN-GP",
            "ring_gan": "ring, plain GAN with WGAN-GP's networks",
            "ring_collapsing_gan": "ring, plain GAN with small networks"}),)),
    "edges_to_fashion": Headline(
        "Edges to images, Fashion-MNIST, pix2pix", "SSIM (higher is better) / Fréchet distance over a classifier's features "
        "(lower is better), test split", {"pix2pix": each("{} pix2pix", ("ssim", "frechet_distance"))},
        {name: each(f"{{}} {name}", ("ssim", "frechet_distance")) for name in ("U-Net, L1 alone", "linear regression")},
        grids=(Grid("method", SIMILARITY | {"Fréchet distance": "frechet_distance {}", "steps": "steps {}"}),)),
    "sandals_to_boots": Headline(
        "Sandals to ankle boots without pairs, CycleGAN", "share of translations that a classifier accepts, test split; "
        "higher is better",
        {"to boots": "accepted sandal to ankle boot, CycleGAN", "to sandals": "accepted ankle boot to sandal, CycleGAN"},
        {"untouched sandals": "accepted sandal to ankle boot, untouched",
         "untouched boots": "accepted ankle boot to sandal, untouched"},
        grids=(Grid("translation", {"share accepted": "accepted {}", "Fréchet distance": "frechet_distance {}",
                                    "L1 there and back, grey levels in [0, 1]": "cycle_l1 {}",
                                    "L1 of the change": "changed_l1 {}"}),),
        targets={"accepted sandal to ankle boot": "accepted sandal to ankle boot, CycleGAN",
                 "cycle_l1": "<=cycle_l1 *, CycleGAN"}),
    "super_resolution": Headline(
        "Super-resolution, Fashion-MNIST, factor 4 per side", "PSNR, dB, mean over test images; higher is better",
        {name: f"psnr_db {name}" for name in ("U-Net, L1 alone", "pix2pix", "PULSE")},
        {"bicubic": "psnr_db bicubic", "nearest": "psnr_db nearest"},
        grids=(Grid("method", SIMILARITY | {"RMSE to the input, downscaled": "rmse_downscaled {}", "steps": "steps {}"}),)),
    "colourise": Headline(
        "Colours of grey photographs, pix2pix", "colour difference ΔE, mean over pixels of the unseen quarters; lower is "
        "better", {"pix2pix": "delta_e pix2pix"},
        {"colour table by luminance": "delta_e luminance table", "grey": "delta_e grey",
         "colour table of each photograph's seen part": "delta_e luminance table of the same photograph"},
        grids=(Grid("method", {"ΔE": "delta_e {}", "PSNR, dB": "psnr_db {}", "SSIM": "ssim {}",
                               "L1, values in [0, 1]": "l1 {}"}),)),
    "one_class_table": Headline(
        "One-class anomaly detection, Fashion-MNIST", "AUROC, %, mean over ten classes, test split; higher is better",
        {"ae_anomaly": "mean ae_anomaly", "ganomaly": "mean ganomaly"},
        {name: f"mean {name}" for name in ("isolation forest", "one-class SVM", "kNN")},
        grids=(Grid("method", {"AUROC, %": "mean {}", "observed FPR at a requested 0.05": "fpr {}",
                               "CPU minutes per training": "cpu_minutes {}"}),
               Grid("method", {name: f"classes[{index}] {{}}" for index, name in enumerate(FASHION)},
                    folded="AUROC by normal class, %, mean over seeds")),
        targets={"best recipe": "mean ae_anomaly", "deep_svdd": "mean deep_svdd", "ganomaly": "mean ganomaly"}),
    "one_class_baselines": Headline(
        "Settings of the classical one-class baselines, Fashion-MNIST", "AUROC, %, mean over ten classes, validation split, "
        "best setting of a grid; higher is better",
        {name: f"{name}, *" for name in ("isolation forest", "one-class SVM", "kNN", "kNN on PCA codes", "PCA")},
        grids=(Grid("method and setting, the three best of each", {"AUROC, %": "{}"}),)),
    "one_class_skips": Headline(
        "Skip connections of `skip_ganomaly`, Fashion-MNIST", "AUROC, %, mean over ten classes, validation split; higher is "
        "better", {"* skip connections": "mean * of 4"},
        grids=(Grid("skip connections", {"AUROC, %": "mean {}", "observed FPR at a requested 0.05": "fpr {}",
                                         "CPU minutes per training": "cpu_minutes {}"}),)),
    "anomalies_in_tables": Headline(
        "Detectors on vectors and windows: breast cancer / wine / a made series",
        "one-class AUROC, %, mean over classes and seeds, test split; higher is better",
        {name: each(f"auroc {{}}, {name}", TABLES) for name in ("ae_anomaly", "vae_anomaly", "deep_svdd", "maf")},
        {name: each(f"auroc {{}}, {name}", TABLES) for name in ("kNN", "isolation forest")},
        grids=(Grid("method", {title: f"auroc {title}, {{}}" for title in TABLES}
                    | {f"{title}, deviation over seeds": f"std {title}, {{}}" for title in TABLES}),
               Grid("method", {f"{kind}": f"auroc series: {kind}, {{}}" for kind in FAULTS}
                    | {f"{kind}, deviation": f"std series: {kind}, {{}}" for kind in FAULTS},
                    folded="Series: AUROC by kind of fault, windows of the kind against those without"))),
    "surface_inspection": Headline(
        "Defects on brick / grass / gravel", "AUROC of images, AUPRO of pixels (FPR up to 0.3), test part; higher is better",
        {"draem, AUROC": each("auroc {}, draem", TEXTURES), "draem, AUPRO": each("aupro {}, draem", TEXTURES)},
        {"local statistics, AUROC": each("auroc {}, local statistics", TEXTURES),
         "local statistics, AUPRO": each("aupro {}, local statistics", TEXTURES)},
        grids=(Grid("method", {f"{title}, {texture}": f"{key} {texture}, {{}}" for texture in TEXTURES
                               for key, title in (("auroc", "AUROC"), ("aupro", "AUPRO"))}
                    | {"CPU minutes per training": "cpu_minutes a training, {}"}),
               Grid("method", {f"FPR, {texture}": f"fpr {texture}, {{}}" for texture in TEXTURES}
                    | {"expected of a training (95 % interval)": "expected fpr, {}",
                       "trainings within": "fpr within its interval, {}",
                       "FPR over all trainings (as if binomial: 95 % interval)": "pooled fpr, {}"}),
               Grid("method", {f"{title}, {texture}": f"{key} {texture}, {{}}" for texture in TEXTURES for key, title in
                               (("f1", "F1"), ("pixel_auroc", "pixel AUROC"))},
                    folded="F1 at the calibrated threshold, pixel AUROC")),
        labels={"fpr within its interval": "share of trainings whose FPR is within its interval"},
        targets={"auroc": "auroc *, draem", "aupro": "aupro *, draem",
                 "fpr within its interval": "fpr within its interval"}),
    "torture": Headline(
        "Runs killed and resumed, against unbroken ones", "recipes whose run ends with the same bits after SIGKILL at "
        "random points: weights, optimizers, random states, figures, pictures; higher is better", {"equal": "equal"},
        {"recipes": "recipes"},
        grids=(Grid("recipe", {"kills": "kills {}"}, folded="Kills per recipe"),),
        labels={"recipes": "recipes", "kills": "kills in all", "equal": "recipes that end equal to the bit"},
        targets={"kills": "kills"}),
    **{name: speed(title) for name, title in SPEEDS.items()},
    **{f"{name}-2-cores": speed(title, "two cores") for name, title in SPEEDS.items()},
    "bench-threads": Headline(
        "Settings of TensorFlow's pools of threads, two cores",
        "training images per s; threads within an operation, operations at once (0 0: TensorFlow's own choice)",
        {name: f"images_per_s {name} 0 0" for name in ("vae", "dcgan", "wgan_gp")},
        grids=(Grid("recipe, threads within an operation, operations at once",
                    {"images per s": "images_per_s {}", "of TensorFlow's own choice": "over_usual {}"}),)),
    "bench-onednn": Headline(
        "oneDNN's kernels, one thread",
        "training speed with oneDNN's kernels over TensorFlow's own; above 1, oneDNN's are faster",
        {name: f"over_usual {name} on" for name in ("vae", "gan", "dcgan", "wgan_gp", "pixelcnn")},
        grids=(Grid("recipe, oneDNN", {"images per s": "images_per_s {}", "with / without": "over_usual {}"}),)),
    "bench-cores": Headline(
        "Two cores over one", "training speed on two cores over that on one, `fit` with 16 steps per execution; "
        "higher is better", {name: f"scaling {name}, tfgen" for name in ("vae", "dcgan", "wgan_gp")},
        {f"{name}, PyTorch, channels_last": f"scaling {name}, torch" for name in ("vae", "dcgan", "wgan_gp")},
        grids=(Grid("recipe, library", {"images per s, one core": "images_per_s {}, 1",
                                        "two cores": "images_per_s {}, 2", "two / one": "scaling {}"}),
               Grid("recipe, kind of operation", {"ms per step, one core": "ms {}, 1", "two cores": "ms {}, 2",
                                                  "one / two": "kind {}"})),
        targets={f"scaling {name}, tfgen": f"scaling {name}, tfgen" for name in ("vae", "dcgan")}),
    "profiles": Headline(
        "Where the time of a training step goes, one core", "share of the operations' time that convolutions take; higher "
        "is better", {name: f"{name} convolutions" for name in ("vae", "dcgan", "wgan_gp", "edm")},
        grids=(Grid("recipe", {kind: f"{{}} {kind}" for kind in KINDS_OF_OPERATIONS}),)),
    "bench-bfloat16-vae": precision("VAE, 28x28x1"),
    "bench-bfloat16-dcgan": precision("DCGAN, 28x28x1"),
    "bench-edm-sampling": Headline(
        "Sampling speed: EDM, U-Net of 32 to 64 channels, 28x28x1, 20 steps",
        "images drawn per s of wall time, 32 per batch, one thread; higher is better", {"": "sample_images_per_s"},
        {VARIANTS[name]: f"{name}_images_per_s" for name in ("diffusers", "diffusers_channels_last")},
        grids=(Grid("variant", {"images per s": "{}_images_per_s", "`sample` / variant": "sample_over_{}"}, VARIANTS),),
        targets={name: f"sample_over_{name}" for name in ("diffusers", "diffusers_channels_last")}),
    "bench-serving": Headline(
        "Embedded model server on loopback: a VAE, 28x28x1",
        "images per s, as a share of those of direct calls of the SavedModel at batch 32; higher is better",
        {"REST, 32 clients of 1 image, a worker per core": "rest_sample_workers_share_of_direct",
         "the same, one process": "rest_sample_share_of_direct",
         "gRPC, 8 clients of 32 images, `sample`": "grpc_sample_share_of_direct",
         "gRPC, 8 clients of 32 images, `reconstruct`": "grpc_reconstruct_share_of_direct"},
        grids=(Grid("requests", {"images per s": "{}_rows_per_s", "share of direct calls": "{}_share_of_direct",
                                 "median time of a request, ms": "{}_p50_ms", "99th percentile, ms": "{}_p99_ms"}, SERVED),),
        targets={name: f"{name}_share_of_direct" for name in SERVED if "reconstruct" not in name or "grpc" in name}),
    "bench-streaming": Headline(
        "Training on 30 GB of images in shards: a VAE, 256x256x3",
        "images per s, as a share of those of the same model on images in memory; higher is better",
        {"read from shards": "streamed_over_held"},
        labels={"peak_resident_gb": "most memory of the process that trains on shards, GB",
                "own_memory_gb": "its own memory at the end, GB", "mapped_files_gb": "memory of its mapped libraries, GB",
                "streamed_images_per_s": "images per s from shards", "held_images_per_s": "images per s from memory",
                "streamed_over_held": "share of the speed from memory"},
        targets={"speed": "streamed_over_held", "memory": "<=peak_resident_gb"}),
    "bench-sampling-gated-pixelcnn": sampling("gated PixelCNN 7x64"),
    "bench-sampling-image-transformer": sampling("causal transformer 4x128"),
    "bench-doubling": Headline(
        "Doubling a grid: 7x7x128 to 14x14x64, forward and backward", "passes (64 images each) per s of wall time, one "
        "thread; higher is better", {VARIANTS["transposed"]: "transposed_steps_per_s"},
        {VARIANTS[name]: f"{name}_steps_per_s" for name in ("depth_3x3", "depth_2x2")},
        grids=(Grid("layers", {"passes per s": "{}_steps_per_s", "transposed / layers": "transposed_over_{}"}, VARIANTS),)),
    "bench-rectifier": Headline(
        "Penalty on a critic's gradient: DCGAN's critic, 28x28x1", "gradients of the penalty (64 images each) per s of wall "
        "time, one thread; higher is better", {VARIANTS["ending"]: "ending_steps_per_s"},
        {VARIANTS["keras_rectifier"]: "keras_rectifier_steps_per_s"},
        grids=(Grid("rectifier", {"gradients per s": "{}_steps_per_s", "tfgen / rectifier": "ending_over_{}"}, VARIANTS),),
        targets={"keras_rectifier": "ending_over_keras_rectifier"}),
    "bench-contractive-one-layer": penalty("one-layer"),
    "bench-contractive-deep": penalty("deep"),
}
# Behind each record of speed that of processors without AVX-512, if there is one.
HEADLINES = {f"{name}{end}": dataclasses.replace(headline, title=f"{headline.title}{processor}")
             for name, headline in HEADLINES.items()
             for end, processor in (("", ""), ("-avx2", ", AVX2"))[:2 if name.startswith("bench-") else 1]}


def of(made):
    """The headline of a record: its own, or its title and its first value."""
    title, first = made.get("title", made["name"]), next(iter(made["values"]), "")
    return HEADLINES.get(made["name"]) or Headline(title, first or "none", {"": first})
