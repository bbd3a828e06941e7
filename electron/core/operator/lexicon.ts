/**
 * Words that mean much the same or name things of one sort, one kin a line. A text shows the kin of its words besides the
 * words, so that few examples teach more: "in italian" is half known from "in french". Written by hand from everyday
 * English; words whose sort hangs on what stands around them (order, book, second) are left out. The first line is numbers.
 */
export const LEXICON = `
zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million couple dozen half quarter
monday tuesday wednesday thursday friday saturday sunday mon tue wed thu fri sat sun weekend weekday
today tonight tomorrow yesterday tmrw tomorow
january february april june july august september october november december jan feb mar apr jun jul aug sept oct nov dec
morning afternoon evening noon midnight night oclock am pm
minute hour min sec
day week month year daily weekly monthly yearly
christmas easter thanksgiving birthday anniversary halloween holiday wedding
money cash funds dollar buck usd cent grand
euro pound yen peso rupee franc won yuan baht krona ruble real shekel gbp eur cad lira dinar dirham currency bitcoin
checking savings chequing account acct
bank chase citibank wells fargo hsbc barclays
visa mastercard amex debit plastic
paypal venmo zelle
pay paid payment paying repay settle
buy bought purchase purchased shop shopping
spend spent spending expense expenses expenditure
cost price fee charge charged surcharge expensive rate commission penalty
cheap cheapest affordable inexpensive budget
earn salary paycheck wage income payroll payday
transfer wire
refund reimburse reimbursement moneyback
owe debt loan mortgage borrow lend financing
lost lose misplaced missing disappeared vanished stolen stole robbed snatched gone theft
declined decline rejected reject refused denied deny bounced unsuccessful
block blocked freeze frozen lock locked deactivate disable suspend hold
pin passcode password
france germany italy spain portugal japan china korea india mexico brazil canada england britain uk ireland russia turkey greece egypt thailand vietnam australia peru cuba kenya nigeria poland sweden norway finland denmark switzerland austria netherlands belgium iceland israel jordan dubai indonesia philippines argentina colombia chile morocco usa america europe asia africa ukraine scotland wales iran iraq syria lebanon pakistan bangladesh nepal lanka malaysia cambodia laos taiwan mongolia ethiopia ghana uganda tanzania zimbabwe senegal algeria tunisia libya bolivia ecuador venezuela uruguay paraguay panama guatemala honduras nicaragua haiti jamaica bahamas hungary romania bulgaria serbia croatia slovenia slovakia estonia latvia lithuania luxembourg malta cyprus zealand qatar kuwait oman saudi arabia afghanistan kazakhstan somalia fiji
london paris rome berlin madrid tokyo beijing moscow sydney toronto boston chicago denver seattle dallas houston austin miami orlando atlanta detroit phoenix portland oakland philadelphia philly vegas york angeles francisco diego antonio nashville tampa cancun dublin amsterdam vienna athens istanbul cairo mumbai delhi bangkok singapore barcelona milan zurich munich frankfurt la nyc dc hawaii texas florida california alaska colorado vermont lisbon prague budapest warsaw oslo stockholm helsinki copenhagen brussels geneva venice florence naples lyon marseille hamburg cologne edinburgh glasgow manchester liverpool belfast montreal vancouver ottawa lagos nairobi casablanca johannesburg seoul osaka kyoto shanghai shenzhen taipei manila jakarta hanoi saigon kolkata bangalore karachi tehran baghdad riyadh doha melbourne brisbane perth auckland lima bogota santiago rio havana kingston cleveland cincinnati columbus pittsburgh baltimore memphis louisville milwaukee minneapolis omaha tulsa charlotte raleigh charleston savannah jacksonville sacramento fresno anaheim tucson albuquerque boise spokane honolulu anchorage ohio michigan georgia virginia maryland carolina tennessee kentucky alabama mississippi louisiana arkansas oklahoma kansas nebraska iowa missouri illinois indiana wisconsin minnesota utah nevada arizona oregon idaho montana wyoming dakota maine hampshire massachusetts connecticut jersey pennsylvania delaware
french german italian spanish portuguese japanese chinese mandarin cantonese korean hindi arabic russian turkish greek hebrew polish swedish norwegian finnish danish dutch czech thai vietnamese hungarian latin hawaiian swahili tagalog romanian bulgarian serbian croatian ukrainian icelandic irish gaelic welsh persian farsi urdu bengali punjabi malay indonesian catalan zulu
mom mother dad father brother sister wife husband son daughter grandma grandpa grandmother grandfather aunt uncle cousin friend boyfriend girlfriend roommate kid kids parents family landlord neighbor coworker colleague
john mike david dave james tom bob rob jim sam joe paul mark steve kevin brian jake alex ben dan matt chris tim greg kyle eric ryan mary lisa sarah anna emma kate jenny jen amy linda karen laura susan nancy emily rachel maria julia lily nina priya
united delta southwest jetblue lufthansa ryanair emirates klm airline
amazon walmart target costco ebay ikea starbucks mcdonalds walgreens safeway
flight fly plane flying airplane airfare jet
ticket seat
airport gate terminal boarding runway
hotel motel hostel inn lodging accommodation airbnb marriott hilton hyatt sheraton room suite
luggage baggage suitcase bag bags backpack duffel carryon
vacation trip travel travelling traveling journey getaway honeymoon
car vehicle auto truck suv van minivan sedan jeep
uber lyft taxi cab
road highway freeway street interstate route bridge exit
traffic congestion jam jammed congested
tire tires wheel
gas fuel petrol diesel gasoline
restaurant diner bistro cafe steakhouse pizzeria eatery
pizza sushi taco burger pasta steak ramen burrito noodles sandwich curry lasagna soup salad stew chili spaghetti macaroni enchilada quesadilla nachos falafel hummus kebab pho dumpling dumplings omelette meatloaf meatball casserole stroganoff paella risotto gnocchi ravioli
chicken beef pork ham bacon fish salmon shrimp meat tuna lobster sausage lamb veal duck venison crab oyster clam scallop cod tilapia trout pepperoni salami hotdog meatballs
milk cheese butter yogurt cream egg eggs mayo mozzarella parmesan feta margarine buttermilk
apple banana orange lemon grape strawberry avocado tomato potato onion carrot broccoli lettuce bean corn pepper vegetable fruit mushroom pear peach plum cherry mango papaya pineapple kiwi melon watermelon blueberry raspberry lime garlic ginger spinach kale cabbage celery cucumber zucchini squash pumpkin eggplant asparagus cauliflower pea lentil chickpea radish beet
bread rice flour sugar salt cereal oatmeal spice toast bagel bun tortilla oat quinoa grain honey syrup vinegar mustard ketchup sauce cinnamon cumin paprika basil oregano thyme
cake cookie pie muffin brownie pancake chocolate dessert waffle cupcake donut doughnut croissant pudding candy pastry icecream
coffee tea beer wine juice soda water drink espresso latte cappuccino lemonade smoothie milkshake whiskey vodka rum gin tequila champagne cocktail
breakfast lunch dinner brunch supper meal
cook bake boil fry roast grill steam simmer microwave oven
recipe ingredient
spoiled expired expire expiration rotten stale mold
kitchen bedroom bathroom hallway basement garage attic porch office den nursery upstairs downstairs
light lamp bulb brightness
hot warm warmer cold colder cool cooler chilly freezing heat heating temperature thermostat degrees
rain snow sunny cloudy windy storm forecast umbrella weather humid humidity hail thunder lightning tornado hurricane blizzard fog foggy drizzle rainy snowing raining sunshine
song track tune music album artist band singer playlist
jazz pop rap classical blues reggae techno folk soul funk punk indie edm opera gospel disco dance
movie film show episode tv television
loud louder quiet quieter volume mute
alarm wake wakeup
meeting appointment event conference
calendar schedule agenda
message text sms email mail
call phone dial
doctor dentist hospital clinic physician vet nurse
medicine pill medication prescription drug vitamin
insurance policy coverage deductible copay premium
boss manager supervisor hr
job work career employer company
dog cat pet puppy kitten
red blue green yellow purple pink black white brown color
inch foot feet yard mile meter metre kilometer centimeter km cm mm
ounce gram kilogram kilo ton kg lb lbs oz
cup tablespoon teaspoon pint quart gallon liter litre ml
celsius fahrenheit
plus minus times divided multiply multiplied subtract add sum divide
translate translation translated
spell spelling spelled
mean meaning define definition means defined
big large huge giant
small little tiny
good great best nice excellent top
fast quick quickest fastest
near nearby nearest closest close around
new another different replacement
arrive arrival delivered delivery
ship shipped shipping mailed package parcel shipment
list display view see
tell say explain
find search locate look
start begin initiate launch run commence
stop end quit halt kill terminate cease
cancel delete remove erase
change alter modify switch update edit swap
make create prepare
fix repair broken broke busted damaged
need want gotta wanna wish
help assist assistance
can could would
please plz pls kindly
thanks thank thx ty appreciate grateful thankful
hello hey greetings howdy
bye goodbye
what whats wat wut
who whos
where wheres
when whens
how hows
why reason
recent recently latest newest
total overall altogether
left remaining leftover
deploy release rollout
server host machine instance vm cluster node
error bug crash failure exception
database db sql table query
robot bot human ai person computer program
joke funny laugh humor pun hilarious silly
door window curtain blinds
unlock unlocked secure
clean vacuum mop sweep hoover wash dust scrub laundry dishes
calorie calories nutrition carbs protein fat vitamins
vaccine vaccination shot immunization
tip gratuity
directions navigate navigation map gps
stock share shares invest investment bond dow nasdaq
login username signin
photo picture image video camera
wifi internet network broadband bluetooth
battery charger
app application software website
passport license id identity
tax taxes irs w2
pto leave
oil engine brake brakes transmission
sick ill flu fever headache cough
sleep nap asleep
game games sport sports football soccer basketball baseball tennis
reserve reservation reserved booking
remind reminder remember forget
timer countdown stopwatch
balance balances
statement statements receipt
credit score rating
points rewards miles cashback
limit maximum minimum max
fraud fraudulent scam suspicious unauthorized unrecognized
approve approved approval authorize
verify confirm check
open opened closed
turn flip
increase raise boost higher
decrease lower reduce
north south east west
question answer
understand know idea
hear listen
eat eating ate
child baby toddler
sad happy angry upset bored tired lonely
poem story essay
president senator governor minister politics election
customer client lead contact
report dashboard chart graph
student teacher course class lesson homework exam grade
school university college
file folder document pdf spreadsheet
todo task
`.trim();
