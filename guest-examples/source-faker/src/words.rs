//! The words rows are made of. None needs an escape in JSON.

/// The make and model of each product.
#[rustfmt::skip]
pub(crate) const CARS: &[(&str, &str)] = &[
    ("Mazda", "MX-5"), ("Mercedes-Benz", "C-Class"), ("Honda", "Accord"), ("GMC", "Jimmy"),
    ("Infiniti", "FX"), ("Dodge", "Intrepid"), ("Nissan", "Frontier"), ("Chevrolet", "Express"),
    ("Bentley", "Continental"), ("Cadillac", "DTS"), ("Suzuki", "Jimny"), ("Audi", "S4"),
    ("Ford", "Ranger"), ("Chevrolet", "Corvette"), ("Mitsubishi", "Pajero"), ("Lincoln", "LS"),
    ("Dodge", "Magnum"), ("Pontiac", "Grand Am"), ("GMC", "Sierra"), ("Toyota", "Corolla"),
    ("Toyota", "Camry"), ("Toyota", "Yaris"), ("Toyota", "Hilux"), ("Volkswagen", "Golf"),
    ("Volkswagen", "Passat"), ("Volkswagen", "Polo"), ("Volvo", "V70"), ("Volvo", "XC90"),
    ("Saab", "900"), ("Saab", "9-5"), ("Skoda", "Octavia"), ("Skoda", "Fabia"), ("Seat", "Ibiza"),
    ("Seat", "Leon"), ("Renault", "Clio"), ("Renault", "Twingo"), ("Renault", "Espace"),
    ("Peugeot", "205"), ("Peugeot", "406"), ("Peugeot", "508"), ("Citroen", "C3"),
    ("Citroen", "Berlingo"), ("Fiat", "Panda"), ("Fiat", "Punto"), ("Fiat", "500"),
    ("Alfa Romeo", "Giulia"), ("Alfa Romeo", "Spider"), ("Lancia", "Delta"), ("Lancia", "Ypsilon"),
    ("Ferrari", "Roma"), ("Lamborghini", "Urus"), ("Maserati", "Ghibli"), ("Jaguar", "XJ"),
    ("Jaguar", "E-Type"), ("Land Rover", "Defender"), ("Mini", "Cooper"), ("Lotus", "Elise"),
    ("Morgan", "Plus Four"), ("Aston Martin", "DB9"), ("Rolls-Royce", "Phantom"),
    ("Porsche", "911"), ("Porsche", "Cayenne"), ("BMW", "3 Series"), ("BMW", "Z4"), ("BMW", "i3"),
    ("Opel", "Astra"), ("Opel", "Corsa"), ("Smart", "Fortwo"), ("Hyundai", "i30"),
    ("Hyundai", "Tucson"), ("Kia", "Ceed"), ("Kia", "Sorento"), ("Subaru", "Outback"),
    ("Subaru", "Forester"), ("Honda", "Civic"), ("Honda", "Jazz"), ("Nissan", "Leaf"),
    ("Nissan", "Micra"), ("Mazda", "6"), ("Mazda", "CX-5"), ("Mitsubishi", "Lancer"),
    ("Suzuki", "Swift"), ("Lexus", "RX"), ("Lexus", "LS"), ("Acura", "NSX"), ("Tesla", "Model 3"),
    ("Tesla", "Model S"), ("Ford", "Focus"), ("Ford", "Mustang"), ("Ford", "Fiesta"),
    ("Jeep", "Wrangler"), ("Jeep", "Cherokee"), ("Chrysler", "300"), ("Dodge", "Ram"),
    ("Buick", "Regal"), ("Buick", "Enclave"), ("Dacia", "Duster"), ("Dacia", "Sandero"),
    ("Lada", "Niva"), ("Polestar", "2"),
];

/// First names.
#[rustfmt::skip]
pub(crate) const NAMES: &[&str] = &[
    "Ada", "Aiko", "Alma", "Amir", "Anders", "Anita", "Anouk", "Astrid", "Beatriz", "Bilal",
    "Bruno", "Carla", "Chen", "Chidi", "Clara", "Conception", "Dario", "Diego", "Dina", "Earl",
    "Elif", "Emeka", "Emil", "Emma", "Esther", "Farid", "Fatima", "Felix", "Fiona", "Freya",
    "Gita", "Greta", "Hana", "Hassan", "Helena", "Hugo", "Ida", "Imani", "Ines", "Ivan", "Jamal",
    "Jana", "Jens", "Jonas", "Kaito", "Karim", "Keiko", "Lars", "Leila", "Liam", "Linh", "Lucia",
    "Maja", "Malik", "Marek", "Maria", "Mateo", "Mei", "Milan", "Mina", "Nadia", "Nils", "Noor",
    "Olga", "Omar", "Paolo", "Petra", "Priya", "Rafael", "Rania", "Ravi", "Rosa", "Samir", "Sara",
    "Selma", "Sven", "Tarik", "Tomas", "Uma", "Vera", "Viktor", "Wanda", "Yara", "Yusuf", "Zoe",
    "Zuri",
];

/// Titles.
pub(crate) const TITLES: &[&str] =
    &["Dr.", "Prof.", "DPhil", "BSc", "MA", "PhD", "Mr.", "Ms.", "Mx."];

/// The start of an e-mail address.
#[rustfmt::skip]
pub(crate) const MAILBOXES: &[&str] = &[
    "apple", "beacon", "breeze", "cedar", "comet", "coral", "dune", "ember", "fern", "field",
    "forest", "garden", "harbor", "hazel", "island", "jasper", "juniper", "lagoon", "lantern",
    "maple", "meadow", "mist", "moss", "oak", "ocean", "olive", "orchid", "pebble", "pine",
    "prairie", "quartz", "reef", "ridge", "river", "sage", "shell", "sierra", "sparrow", "spruce",
    "stone", "summit", "thistle", "tulip", "valley", "willow", "winter",
];

/// Hosts of e-mail addresses, none of which exists.
pub(crate) const MAIL_HOSTS: &[&str] =
    &["example.com", "example.net", "example.org", "mail.example.com", "post.example.net"];

/// Genders.
pub(crate) const GENDERS: &[&str] = &["Female", "Male", "Other", "Fluid"];

/// Languages.
#[rustfmt::skip]
pub(crate) const LANGUAGES: &[&str] = &[
    "Afrikaans", "Albanian", "Arabic", "Basque", "Bengali", "Bulgarian", "Catalan", "Croatian",
    "Czech", "Danish", "Dutch", "English", "Estonian", "Finnish", "French", "Georgian", "German",
    "Greek", "Hausa", "Hebrew", "Hindi", "Hungarian", "Icelandic", "Igbo", "Irish", "Italian",
    "Japanese", "Kazakh", "Korean", "Latvian", "Malay", "Mongolian", "Nepali", "Norwegian",
    "Persian", "Polish", "Portuguese", "Romanian", "Serbian", "Slovak", "Somali", "Spanish",
    "Swahili", "Swedish", "Tamil", "Thai", "Turkish", "Ukrainian", "Urdu", "Vietnamese", "Welsh",
    "Yoruba", "Zulu",
];

/// Academic degrees.
pub(crate) const DEGREES: &[&str] = &["Bachelor", "Master", "PhD"];

/// Nationalities.
#[rustfmt::skip]
pub(crate) const NATIONALITIES: &[&str] = &[
    "Argentinian", "Australian", "Austrian", "Belgian", "Bolivian", "Brazilian", "Bulgarian",
    "Canadian", "Chilean", "Chinese", "Colombian", "Croatian", "Cuban", "Czech", "Danish", "Dutch",
    "Egyptian", "Estonian", "Ethiopian", "Finnish", "French", "German", "Ghanaian", "Greek",
    "Hungarian", "Icelandic", "Indian", "Indonesian", "Irish", "Italian", "Japanese", "Kenyan",
    "Korean", "Latvian", "Malaysian", "Mexican", "Moroccan", "Nepalese", "Nigerian", "Norwegian",
    "Peruvian", "Polish", "Portuguese", "Romanian", "Senegalese", "Spanish", "Swedish", "Swiss",
    "Thai", "Tunisian", "Turkish", "Ugandan", "Ukrainian", "Vietnamese",
];

/// Occupations.
#[rustfmt::skip]
pub(crate) const OCCUPATIONS: &[&str] = &[
    "Accountant", "Archivist", "Baker", "Beekeeper", "Bookbinder", "Bus Driver", "Carpenter",
    "Chemist", "Clockmaker", "Cook", "Dentist", "Electrician", "Farmer", "Firefighter", "Florist",
    "Gardener", "Geologist", "Glazier", "IT Consultant", "Joiner", "Judge", "Librarian",
    "Locksmith", "Mason", "Meteorologist", "Midwife", "Miner", "Musician", "Nurse", "Optician",
    "Painter", "Pharmacist", "Photographer", "Physicist", "Pilot", "Planning Officer", "Plumber",
    "Potter", "Programmer", "Roofer", "Sailor", "Shoemaker", "Stage Manager", "Surveyor", "Tailor",
    "Teacher", "Thermal Insulator", "Translator", "Veterinarian", "Welder",
];

/// Blood types.
pub(crate) const BLOOD_TYPES: &[&str] = &["O+", "O−", "A+", "A−", "B+", "B−", "AB+", "AB−"];

/// Street names.
#[rustfmt::skip]
pub(crate) const STREETS: &[&str] = &[
    "Acacia", "Amber", "Ashbury", "Bakers", "Bay", "Birch", "Bridge", "Brook", "Canal", "Castle",
    "Cedar", "Chapel", "Church", "Clover", "Coral", "Crescent", "Dale", "Elm", "Fairview",
    "Falcon", "Garden", "Grove", "Harbor", "Hawthorn", "Hill", "Ivy", "Jasmine", "Juniper", "King",
    "Lake", "Laurel", "Lime", "Linden", "Magnolia", "Market", "Meadow", "Mill", "Mulberry",
    "North", "Orchard", "Park", "Pine", "Quarry", "Quay", "River", "Rose", "School", "Spring",
    "Station", "Sunset", "Temple", "Union", "Vine", "Walnut", "Willow", "Windmill",
];

/// Cities.
#[rustfmt::skip]
pub(crate) const CITIES: &[&str] = &[
    "Ashford", "Aurora", "Bedford", "Bristol", "Burlington", "Camden", "Carlisle", "Chester",
    "Clifton", "Concord", "Dalton", "Dover", "Durham", "Easton", "Elgin", "Fairfield", "Franklin",
    "Georgetown", "Glendale", "Hamilton", "Hudson", "Jackson", "Kingston", "Kinston", "Lancaster",
    "Lebanon", "Lexington", "Lynn", "Madison", "Manchester", "Marion", "Milton", "Newport",
    "Newton", "Norwood", "Oakland", "Oxford", "Paris", "Plymouth", "Princeton", "Quincy",
    "Richmond", "Riverside", "Salem", "Savage", "Springfield", "Trenton", "Troy", "Vernon",
    "Warren", "Winchester", "York",
];

/// States and provinces.
#[rustfmt::skip]
pub(crate) const STATES: &[&str] = &[
    "Alabama", "Alaska", "Arizona", "Arkansas", "California", "Colorado", "Connecticut",
    "Delaware", "Florida", "Georgia", "Hawaii", "Idaho", "Illinois", "Indiana", "Iowa", "Kansas",
    "Kentucky", "Louisiana", "Maine", "Maryland", "Massachusetts", "Michigan", "Minnesota",
    "Mississippi", "Missouri", "Montana", "Nebraska", "Nevada", "New Hampshire", "New Jersey",
    "New Mexico", "New York", "North Carolina", "North Dakota", "Ohio", "Oklahoma", "Oregon",
    "Pennsylvania", "Rhode Island", "South Carolina", "South Dakota", "Tennessee", "Texas", "Utah",
    "Vermont", "Virginia", "Washington", "West Virginia", "Wisconsin", "Wyoming",
];

/// Country codes.
#[rustfmt::skip]
pub(crate) const COUNTRIES: &[&str] = &[
    "AR", "AT", "AU", "AW", "BE", "BG", "BO", "BR", "CA", "CH", "CL", "CN", "CO", "CR", "CZ", "DE",
    "DK", "EE", "EG", "ES", "ET", "FI", "FJ", "FR", "GB", "GH", "GR", "HR", "HU", "ID", "IE", "IN",
    "IS", "IT", "JP", "KE", "KR", "LT", "LV", "MA", "MX", "MY", "NG", "NL", "NO", "NP", "NZ", "PE",
    "PL", "PT", "RO", "SE", "SI", "SK", "SN", "TH", "TN", "TR", "UA", "UG", "US", "UY", "VN", "ZA",
];
