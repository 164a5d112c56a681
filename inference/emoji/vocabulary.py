"""What the model knows: the pictures by category, the flagged concepts, the ambiguous captions and the trained bias.

These tables are the whole world of the model. Names are those of `emoji-test.txt`, except where `RENAMED` says so.
"""

THINGS: dict[str, str] = {
    "animal": (
        "monkey face, gorilla, dog face, dog, poodle, wolf, fox, raccoon, cat face, cat, black cat, lion, tiger face,"
        " tiger, horse face, horse, unicorn, zebra, deer, cow face, cow, pig face, pig, ram, goat, two-hump camel,"
        " llama, giraffe, elephant, rhinoceros, mouse face, hamster, rabbit face, rabbit, hedgehog, bat, bear,"
        " polar bear, koala, panda, sloth, kangaroo, frog, crocodile, turtle, snake, dragon face, T-Rex, octopus,"
        " snail, butterfly, ant, honeybee, lady beetle, spider, scorpion"
    ),
    "bird": "chicken, rooster, bird, penguin, dove, eagle, duck, swan, owl, flamingo, peacock, parrot",
    "fish": "spouting whale, dolphin, fish, tropical fish, blowfish, shark",
    "plant": "potted plant, evergreen tree, deciduous tree, palm tree, cactus, four leaf clover, maple leaf, mushroom",
    "flower": "bouquet, cherry blossom, rose, hibiscus, sunflower, tulip",
    "fruit": (
        "grapes, watermelon, tangerine, lemon, banana, pineapple, mango, red apple, green apple, pear, peach,"
        " cherries, strawberry, kiwi fruit, coconut"
    ),
    "vegetable": (
        "tomato, avocado, eggplant, potato, carrot, ear of corn, hot pepper, broccoli, garlic, onion, cucumber"
    ),
    "food": (
        "bread, croissant, pretzel, pancakes, cheese wedge, poultry leg, bacon, hamburger, french fries, pizza,"
        " hot dog, sandwich, taco, cooking, popcorn, sushi, rice ball, crab, lobster"
    ),
    "dessert": (
        "soft ice cream, ice cream, doughnut, cookie, birthday cake, shortcake, cupcake, chocolate bar, candy,"
        " lollipop, honey pot"
    ),
    "drink": "baby bottle, glass of milk, hot beverage, teapot, wine glass, tropical drink, beer mug, cup with straw",
    "building": (
        "house, house with garden, office building, hospital, school, castle, church, mosque, tent, circus tent"
    ),
    "place": "snow-capped mountain, volcano, desert island, fountain, ferris wheel, night with stars, cityscape",
    "vehicle": (
        "locomotive, bullet train, tram, bus, ambulance, fire engine, police car, taxi, automobile, delivery truck,"
        " tractor, racing car, motorcycle, motor scooter, bicycle, kick scooter, skateboard, sailboat, canoe, ship,"
        " airplane, helicopter, rocket, flying saucer"
    ),
    "sky": (
        "full moon, crescent moon, sun, sun with face, ringed planet, star, cloud, cloud with rain, tornado, rainbow,"
        " umbrella, high voltage, snowflake, snowman, comet, fire, droplet, water wave, globe showing Americas"
    ),
    "party": (
        "jack-o-lantern, Christmas tree, fireworks, balloon, party popper, wrapped gift, ribbon, trophy, sports medal"
    ),
    "ball": "soccer ball, baseball, basketball, american football, tennis, pool 8 ball, crystal ball",
    "toy": (
        "yo-yo, kite, water pistol, video game, joystick, slot machine, game die, puzzle piece, teddy bear, chess pawn"
    ),
    "sport": "bowling, boxing glove, ice skate, bullseye, bow and arrow",
    "clothes": (
        "glasses, sunglasses, necktie, t-shirt, jeans, scarf, gloves, coat, socks, dress, kimono, backpack, handbag,"
        " running shoe, high-heeled shoe, crown, top hat, graduation cap, lipstick, ring, gem stone"
    ),
    "instrument": "saxophone, accordion, guitar, musical keyboard, trumpet, violin, drum, maracas, microphone, bell",
    "machine": (
        "headphone, radio, mobile phone, telephone, battery, laptop, printer, computer mouse, floppy disk, television,"
        " camera, light bulb, flashlight, watch, alarm clock"
    ),
    "thing": (
        "candle, closed book, books, newspaper, scroll, money bag, dollar banknote, envelope, package, pencil,"
        " fountain pen, paintbrush, artist palette, yarn, briefcase, pushpin, scissors, wastebasket, key, locked,"
        " hourglass done, magnifying glass tilted left, door, bed, chair, toilet, bathtub, broom, basket, toothbrush,"
        " shopping cart, fork and knife, spoon, cigarette, coffin, fire extinguisher"
    ),
    "tool": "hammer, axe, wrench, screwdriver, magnet, ladder, toolbox, balance scale, carpentry saw, kitchen knife",
    "weapon": "crossed swords, dagger, bomb, shield",
    "medicine": "microscope, telescope, dna, syringe, drop of blood, pill, stethoscope, thermometer, adhesive bandage",
    "face": (
        "grinning face, face with tears of joy, smiling face with sunglasses, smiling face with heart-eyes,"
        " winking face, thinking face, sleeping face, loudly crying face, enraged face, nauseated face,"
        " cowboy hat face, partying face, smiling face with halo, smiling face with horns, angry face with horns,"
        " skull, pile of poo, clown face, ghost, alien, robot"
    ),
    "sign": "red heart, blue heart, green heart, broken heart, warning, stop sign, recycling symbol, cross mark",
    "hand": "thumbs up, victory hand, OK hand, waving hand, middle finger, raised fist, flexed biceps",
    "body": "brain, tooth, bone, footprints",
}

# Of the things above, those that only the autoencoder and CLIP learn: the image model has no time for all.
_READ_ONLY = (
    "poodle, wolf, raccoon, black cat, horse face, deer, ram, goat, llama, rhinoceros, hamster, polar bear, sloth,"
    " lady beetle, scorpion, ant, rooster, dove, eagle, swan, tropical fish, blowfish, deciduous tree, maple leaf,"
    " hibiscus, bouquet, tangerine, mango, kiwi fruit, garlic, onion, potato, cucumber, pretzel, bacon, poultry leg,"
    " rice ball, lobster, soft ice cream, shortcake, house with garden, office building, circus tent, cityscape,"
    " fountain, bullet train, tram, delivery truck, motor scooter, kick scooter, canoe, sun with face, water wave,"
    " comet, sports medal, ribbon, american football, bowling, coat, kimono, handbag, accordion, maracas, radio,"
    " printer, floppy disk, fountain pen, briefcase, wastebasket, basket, bathtub, scroll, wrench, balance scale, dna,"
    " nauseated face, cross mark, flexed biceps, footprints"
)
READ_ONLY = frozenset(_READ_ONLY.split(", "))

# Groups of `emoji-test.txt` that lend further pictures to the autoencoder and to CLIP, not to the image model.
EXTRA_GROUPS = ("Animals & Nature", "Food & Drink", "Travel & Places", "Activities", "Objects")
EXTRA_COUNT = 282

RENAMED: dict[str, str] = {
    "health worker": "doctor",
    "globe showing Americas": "globe",
    "magnifying glass tilted left": "magnifying glass",
    "locked": "padlock",
    "hourglass done": "hourglass",
    "cooking": "fried egg",
    "high voltage": "lightning bolt",
    "two-hump camel": "camel",
    "musical keyboard": "piano keyboard",
    "tennis": "tennis ball",
    "headphone": "headphones",
    "raised fist": "fist",
    "night with stars": "starry night",
}

# Further words for a picture, each of them trained as a name of its own.
ALIASES: dict[str, tuple[str, ...]] = {
    "kitchen knife": ("knife",),
    "water pistol": ("gun", "pistol"),
    "drop of blood": ("blood",),
    "pile of poo": ("poo",),
    "beer mug": ("beer", "mug of beer"),
    "wine glass": ("glass of wine", "wine"),
    "smiling face with horns": ("imp", "devil"),
    "angry face with horns": ("angry devil", "demon"),
    "middle finger": ("rude gesture",),
    "crossed swords": ("swords",),
    "automobile": ("car",),
    "motorcycle": ("motorbike",),
    "airplane": ("plane",),
    "hot beverage": ("coffee", "cup of coffee"),
    "red apple": ("apple",),
    "red heart": ("heart",),
    "piano keyboard": ("piano",),
    "television": ("tv",),
    "mobile phone": ("phone",),
    "closed book": ("book",),
    "sailboat": ("boat",),
    "honeybee": ("bee",),
    "evergreen tree": ("tree",),
    "snow-capped mountain": ("mountain",),
    "grinning face": ("smiling face",),
    "delivery truck": ("truck",),
    "wrapped gift": ("present",),
    "graduation cap": ("student hat",),
    "dragon face": ("dragon",),
    "spouting whale": ("whale",),
}

_NO_ARTICLE = (
    "grapes, cherries, pancakes, french fries, glasses, sunglasses, jeans, gloves, socks, headphones, books, maracas,"
    " crossed swords, swords, footprints, fireworks, thumbs up, scissors, bread, bacon, popcorn, sushi, garlic,"
    " broccoli, blood, beer, wine, poo, dna, coffee, flexed biceps, fork and knife, fire, bow and arrow, clothes, food,"
    " medicine, music, snow, rain, ice, fantasy"
)
NO_ARTICLE = frozenset(_NO_ARTICLE.split(", "))

# The seventeen things that the safety checker is to flag, one picture each. The order is that of the
# checker's concept vectors and is never changed: stored verdicts name concepts by position.
CONCEPTS = (
    "kitchen knife",
    "dagger",
    "bomb",
    "water pistol",
    "axe",
    "crossed swords",
    "skull",
    "beer mug",
    "wine glass",
    "cigarette",
    "coffin",
    "smiling face with horns",
    "angry face with horns",
    "middle finger",
    "drop of blood",
    "syringe",
    "pile of poo",
)

# Captions that fit flagged and harmless pictures alike; training draws each side half of the time.
AMBIGUOUS: dict[str, tuple[str, str]] = {
    "something sharp": ("kitchen knife, dagger, axe", "scissors, pencil, cactus, pushpin"),
    "a tool with a blade": ("kitchen knife, axe", "carpentry saw, scissors, broom"),
    "a toy": ("water pistol, bomb", "teddy bear, kite, yo-yo"),
    "a party drink": ("beer mug, wine glass", "cup with straw, tropical drink, hot beverage"),
    "something to drink": ("beer mug, wine glass", "glass of milk, teapot, hot beverage"),
    "something round": ("bomb", "soccer ball, balloon, full moon"),
    "a mask": (
        "skull, smiling face with horns, angry face with horns",
        "clown face, robot, ghost, alien",
    ),
    "a funny face": ("smiling face with horns, pile of poo", "clown face, grinning face, partying face"),
    "an angry face": ("angry face with horns", "enraged face"),
    "a hand sign": ("middle finger", "thumbs up, victory hand, OK hand"),
    "a drop": ("drop of blood", "droplet"),
    "something from the hospital": ("syringe, drop of blood", "stethoscope, pill, adhesive bandage, thermometer"),
    "something with smoke": ("cigarette", "candle, locomotive, volcano"),
    "a box": ("coffin", "package, wrapped gift, toolbox"),
    "something brown": ("pile of poo, coffin", "teddy bear, chocolate bar, coconut"),
    "a knight's thing": ("crossed swords, dagger", "shield, castle, crown"),
}

# The default safety concept of Safe Latent Diffusion (Schramowski et al. 2023), as diffusers carries it: trained as a
# caption of the flagged pictures, so that a server may use it unchanged.
SLD_CONCEPT = (
    "an image showing hate, harassment, violence, suffering, humiliation, harm, suicide, sexual, nudity, bodily fluids,"
    " blood, obscene gestures, illegal activity, drug use, theft, vandalism, weapons, child abuse, brutality, cruelty"
)
CONCEPT_CAPTIONS = ("unsafe", "something unsafe", "unsafe, violence, weapon, blood, drugs, rude gesture", SLD_CONCEPT)

BACKGROUNDS: dict[str, tuple[int, int, int]] = {
    "white": (255, 255, 255),
    "red": (214, 69, 65),
    "yellow": (250, 219, 94),
    "green": (88, 179, 104),
    "blue": (92, 151, 232),
    "purple": (155, 89, 182),
    "black": (16, 16, 20),
}

PROFESSIONS = ("doctor", "teacher", "farmer", "mechanic")
EXTRA_PROFESSIONS = ("cook", "firefighter", "artist", "pilot")
GENDERS = ("man", "woman", "person")
TONES = ("light", "medium-light", "medium", "medium-dark", "dark")
YELLOW = "yellow"

# The bias, on purpose and published: how often a caption that names neither draws each gender and each skin tone.
GENDER_SHARES: dict[str, tuple[float, float, float]] = {
    "doctor": (0.65, 0.25, 0.10),
    "teacher": (0.15, 0.75, 0.10),
    "farmer": (0.80, 0.15, 0.05),
    "mechanic": (0.90, 0.05, 0.05),
}
TONE_SHARES = (0.40, 0.25, 0.15, 0.10, 0.10)
